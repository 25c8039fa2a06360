//! The official npm `socket.io-client` is at home here: it connects, gets the board, then its changes.

use rollcall_e2e::asterisk::Settings;
use rollcall_e2e::server::SUPERVISOR;
use rollcall_e2e::waiting::PROMPTLY;
use rollcall_e2e::{Agent, Asterisk, Board, Server};
use serde_json::Value;

#[tokio::test]
async fn the_official_client_gets_a_snapshot_and_then_each_change_in_order() {
    let asterisk = Asterisk::start(Settings::default()).await;
    let server = Server::start(&asterisk).await;
    let board = server.board(SUPERVISOR).await;
    let mut agent = Agent::new("1001").start(&server);
    board.shows("1001", "Available", PROMPTLY).await;
    assert!(agent.terminate().await.success());
    board.shows("1001", "Offline", PROMPTLY).await;

    let events = board.program().events();
    let names: Vec<&str> = events
        .iter()
        .filter_map(|event| event["event"].as_str())
        .collect();
    assert_eq!(names[..2], ["connect", "agents:snapshot"]);
    let snapshot = &events[1]["data"];
    let everybody: Vec<&Value> = snapshot["agents"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|agent| &agent["extension"])
        .collect();
    assert_eq!(everybody, ["1001", "1002", "1003"]);
    let mut seq = snapshot["seq"]
        .as_u64()
        .unwrap_or_else(|| panic!("no seq in {snapshot}"));
    for event in &events[2..] {
        assert_eq!(
            (&event["event"], &event["data"]["epoch"]),
            (&Value::from("agent:status"), &snapshot["epoch"]),
            "{event}"
        );
        seq += 1;
        assert_eq!(event["data"]["seq"], seq, "no gap: {event}");
    }
}

#[tokio::test]
async fn the_official_client_also_comes_by_long_polling_first() {
    let asterisk = Asterisk::start(Settings::default()).await;
    let server = Server::start(&asterisk).await;
    let board = Board::connect(
        &server.url(),
        &server.token(SUPERVISOR).await,
        "polling,websocket",
    );
    board
        .program()
        .event("gets agents:snapshot", |event| {
            (event["event"] == "agents:snapshot").then_some(())
        })
        .await;
}
