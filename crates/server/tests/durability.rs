//! What was acknowledged is there afterwards, and what the seed asks of the tables can be asked.

mod common;

use common::{House, query};

#[tokio::test]
async fn a_session_and_its_intent_outlive_a_restart() {
    let house = House::open().await;
    let token = house.sign_in("agent1001").await.tokens.sip;
    house.online(&token).await;
    let before = house.tables().await;
    let house = house.reopen().await;
    let after = house.tables().await;
    assert_eq!(after["sessions"], before["sessions"]);
    assert_eq!(after["tokens"], before["tokens"]);
    house.online(&token).await;
}

#[tokio::test]
async fn every_acknowledged_update_is_there_when_the_process_is_gone_without_goodbye() {
    let house = House::open().await;
    let mut tokens = Vec::new();
    for _ in 0..3 {
        tokens.push(house.sign_in("supervisor").await.tokens.sip);
    }
    let acknowledged = query(
        house.dir.path(),
        "SELECT id FROM sessions WHERE ended_at IS NULL",
    )
    .await;
    assert_eq!(acknowledged.len(), 3);
    // A copy of the files as they lie on disk now is what a crash would leave.
    let crashed = tempfile::tempdir().unwrap();
    let (from, to) = (house.dir.path().join("data"), crashed.path().join("data"));
    std::fs::create_dir(&to).unwrap();
    for entry in std::fs::read_dir(&from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    let running = rollcall_server::start(common::config(crashed.path()))
        .await
        .unwrap();
    let client = rollcall_server_client::Client::new(&common::base_url(&running)).unwrap();
    for token in tokens {
        common::watch(&client, &token).await;
    }
}

#[tokio::test]
async fn the_seeds_two_queries_run_as_written() {
    let house = House::open().await;
    let contacts = query(
        house.dir.path(),
        "SELECT endpoint, status, expiration_time FROM ps_contacts WHERE endpoint = '1001';",
    )
    .await;
    assert!(contacts.is_empty());
    let users = query(
        house.dir.path(),
        "SELECT username, extension, online, sipRegistered FROM users WHERE extension = '1001';",
    )
    .await;
    let row: Vec<&str> = users[0].iter().map(|(_, value)| value.as_str()).collect();
    assert_eq!(row, ["agent1001", "1001", "0", "0"]);
}

#[cfg(unix)]
#[tokio::test]
async fn what_lies_on_disk_is_its_owners_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let house = House::open().await;
    house.sign_in("agent1001").await;
    let data = house.dir.path().join("data");
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for entry in std::fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}
