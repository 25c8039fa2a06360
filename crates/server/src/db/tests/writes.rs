//! The writer: whole lists, durable before they are answered, one order.

use rollcall_alignment::{LedgerEntry, LedgerKind};

use super::*;
use crate::db::{execute, ledger::PORTION};

pub(super) async fn a_list_is_all_there_or_not_at_all_and_its_neighbours_stay(scene: Scene) {
    let lists = [
        vec![user("ann", "1001")],
        vec![user("bob", "1002"), user("ann", "1003")],
        vec![user("cid", "1004")],
        vec![user("dora", "1001")],
    ];
    let answers =
        futures_util::future::join_all(lists.into_iter().map(|list| scene.database.commit(list)))
            .await;
    assert!(answers[0].is_ok() && answers[2].is_ok(), "{answers:?}");
    assert!(matches!(&answers[1], Err(WriteError::Conflict(what)) if what == "username"));
    assert!(matches!(&answers[3], Err(WriteError::Conflict(what)) if what == "extension"));
    assert_eq!(scene.count("SELECT COUNT(*) FROM users").await, 2);
    assert!(scene.database.healthy());
}

pub(super) async fn an_answered_write_is_seen_by_every_other_connection(scene: Scene) {
    for n in 0..20 {
        scene
            .commit(vec![user(&format!("u{n}"), &format!("{n}"))])
            .await;
        assert_eq!(scene.count("SELECT COUNT(*) FROM users").await, n + 1);
        assert_eq!(scene.database.people().await.unwrap().len() as i64, n + 1);
    }
}

/// Two hundred at once, each looked up on another connection as soon as it is answered.
pub(super) async fn many_writers_share_transactions_and_none_is_answered_before_its_own(
    scene: Scene,
) {
    scene.database.close().await;
    let metrics = Metrics::default();
    let database = Database::open_counted(&scene.config, metrics.commits()).await;
    let database = database.unwrap();
    let commits = (0..200).map(|n| {
        let name = format!("u{n}");
        let answered = database.commit(vec![user(&name, &format!("{n}"))]);
        let database = database.clone();
        async move {
            answered.await.unwrap();
            let there = database.credentials(&name).await.unwrap();
            assert!(there.is_some(), "{name} was answered, and is not there");
        }
    });
    futures_util::future::join_all(commits).await;
    assert_eq!(scene.count("SELECT COUNT(*) FROM users").await, 200);
    let text = metrics.render().unwrap();
    let figure = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim().parse::<f64>().unwrap()
    };
    assert_eq!(figure("rollcall_commit_batch_sum"), 200.0);
    // All had their places before the writer saw the first: one transaction has room for them.
    assert!(figure("rollcall_commit_batch_count") <= 2.0, "{text}");
    database.close().await;
}

pub(super) async fn every_connection_waits_for_the_disk(server: Server) {
    let scene = server.scene("durable").await;
    let mut writing = scene.raw().await;
    let ask = writing.dialect().durability().unwrap();
    for pragma in ["journal_mode", "synchronous"] {
        let ask = format!("SELECT CAST({pragma} AS TEXT) FROM pragma_{pragma}");
        let of_writing = query(ask.clone()).fetch_all(&mut writing).await.unwrap();
        let of_reading = query(ask).fetch_all(scene.database.reads()).await.unwrap();
        for rows in [of_writing, of_reading] {
            let set: String = rows[0].try_get(0).unwrap();
            let full = "2";
            assert_eq!(set, if pragma == "synchronous" { full } else { "wal" });
        }
    }
    let words = async |db: &mut Connection| -> String {
        let rows = query(ask).fetch_all(db).await.unwrap();
        rows[0].try_get(0).unwrap()
    };
    assert_eq!(words(&mut writing).await, "");
    writing.run("PRAGMA synchronous = NORMAL").await.unwrap();
    assert_eq!(words(&mut writing).await, "synchronous is not FULL");
}

pub(super) async fn a_lock_of_somebody_elses_fails_the_write_and_the_next_one_heals(scene: Scene) {
    let scene = scene
        .reopened(|config| config.database.busy_timeout_ms = 20)
        .await;
    let mut other = scene.raw().await;
    let begin = other.dialect().begin();
    other.run(begin).await.unwrap();
    let same = "INSERT INTO users (username, extension, role, password_hash, created_at)
                VALUES ('ann', '1001', 'agent', 'x', 1)";
    other.run(same).await.unwrap();
    let refused = scene.database.commit(vec![user("ann", "1001")]).await;
    assert!(matches!(refused, Err(WriteError::Down(_))), "{refused:?}");
    assert!(!scene.database.healthy());
    other.run("ROLLBACK").await.unwrap();
    scene.commit(vec![user("ann", "1001")]).await;
    assert!(scene.database.healthy());
    assert_eq!(scene.count("SELECT COUNT(*) FROM users").await, 1);
}

pub(super) async fn writes_that_wait_are_made_before_it_closes_and_later_ones_are_refused(
    scene: Scene,
) {
    let waiting = scene.database.commit(vec![user("ann", "1001")]);
    let (written, ()) = tokio::join!(waiting, scene.database.close());
    written.unwrap();
    assert_eq!(scene.count("SELECT COUNT(*) FROM users").await, 1);
    let late = scene.database.commit(vec![user("bob", "1002")]).await;
    assert!(matches!(late, Err(WriteError::Down(_))));
}

pub(super) async fn what_is_so_already_is_not_written_again(scene: Scene) {
    scene.commit(vec![user("ann", "1001")]).await;
    let list = || {
        vec![
            presence(true),
            contact("1001;@abc", ContactStatus::Reachable),
        ]
    };
    scene.commit(list()).await;
    let mut db = scene.raw().await;
    let before = written(&mut db).await;
    for write in list() {
        execute::execute(&mut db, Mode::Mirror, &write)
            .await
            .unwrap();
    }
    assert_eq!(written(&mut db).await, before);
    let other = contact("1001;@abc", ContactStatus::Expired);
    execute::execute(&mut db, Mode::Mirror, &other)
        .await
        .unwrap();
    assert_ne!(written(&mut db).await, before, "a change shows");
}

/// What moves when this connection writes a row.
async fn written(db: &mut Connection) -> String {
    let counter = match db {
        Connection::Sqlite(_) => "SELECT CAST(total_changes() AS TEXT)",
        // The transactions that made the rows as they are.
        Connection::Postgres(_) => {
            "SELECT (SELECT string_agg(xmin::text, ',') FROM users) || (SELECT string_agg(xmin::text, ',') FROM ps_contacts)"
        }
        Connection::MariaDb(_) => {
            "SHOW SESSION STATUS WHERE Variable_name IN ('Handler_update', 'Handler_delete')"
        }
    };
    let rows = query(counter).fetch_all(db).await.unwrap();
    let last = |row: &Row| {
        let of_a_variable = row.try_get::<String>(1);
        of_a_variable.or_else(|_| row.try_get(0)).unwrap()
    };
    rows.iter().map(last).collect::<Vec<_>>().join(",")
}

pub(super) async fn any_text_comes_back_as_it_was_written(scene: Scene) {
    let odd = [
        "'; DROP TABLE users; -- \\' \" ` ?1 $1 %s",
        "naïve ✓ 🎧 \u{202e}",
        " ends with blanks  ",
        "a\r\nb\tc",
    ];
    let nul = "zero\0zero";
    let entry = |detail: &str| {
        Write::Core(alignment::Write::Ledger(LedgerEntry {
            at_unix_ms: 1,
            extension: None,
            device: None,
            kind: LedgerKind::Intent,
            source: "test",
            rule: None,
            what: "said",
            detail: detail.into(),
        }))
    };
    scene
        .commit(odd.iter().copied().chain([nul]).map(entry).collect())
        .await;
    let rows = scene.rows("SELECT detail FROM ledger ORDER BY id").await;
    let kept: Vec<String> = rows.iter().map(|row| row.try_get(0).unwrap()).collect();
    assert_eq!(kept[..4], odd);
    assert!(
        kept[4] == nul || kept[4] == "zero\u{fffd}zero",
        "{:?}",
        kept[4]
    );
    // Longer than Asterisk's own columns are.
    let mut long = row("1001;@abc", ContactStatus::Reachable);
    long.user_agent = "é".repeat(300);
    scene
        .commit(vec![Write::Core(alignment::Write::Contact(long))])
        .await;
    let kept = scene.database.contacts().await.unwrap();
    assert_eq!(kept[0].user_agent, "é".repeat(255));
}

pub(super) async fn old_lines_of_the_ledger_go_in_portions_and_the_others_stay(scene: Scene) {
    scene.database.close().await;
    let metrics = Metrics::default();
    let database = Database::open_counted(&scene.config, metrics.commits()).await;
    let database = database.unwrap();
    let mut db = scene.raw().await;
    let lines = (0..2 * PORTION + 1).map(|at| format!("({at}, 'intent', 'test', 'said', '')"));
    let lines = lines.collect::<Vec<_>>().join(", ");
    let fill = format!("INSERT INTO ledger (at, kind, source, what, detail) VALUES {lines}");
    db.run(&fill).await.unwrap();
    let old = 2 * PORTION as u64;
    database.forget_ledger(old).await.unwrap();
    assert_eq!(scene.count("SELECT COUNT(*) FROM ledger").await, 1);
    assert_eq!(scene.count("SELECT MIN(at) FROM ledger").await, 2 * PORTION);
    // Two portions, and one that finds nothing more.
    let text = metrics.render().unwrap();
    assert!(text.contains("rollcall_commit_batch_count 3\n"), "{text}");
    database.close().await;
}

pub(super) async fn readers_cannot_write(scene: Scene) {
    let refused = query("DELETE FROM users")
        .fetch_all(scene.database.reads())
        .await;
    assert!(refused.is_err());
}

pub(super) async fn what_was_answered_outlives_the_database(mut server: Server) {
    let scene = server.scene("comes_back").await;
    scene.commit(vec![user("ann", "1001")]).await;
    server.databases.kill();
    // A session of PostgreSQL's may outlive its server by a moment, and what it answers is on disk.
    while scene.database.commit(vec![presence(true)]).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let refused = scene.database.commit(vec![user("bob", "1002")]).await;
    assert!(matches!(refused, Err(WriteError::Down(_))), "{refused:?}");
    assert!(!scene.database.healthy());
    server.databases.serve().await;
    scene.commit(vec![user("cid", "1003")]).await;
    assert!(scene.database.healthy());
    let people = scene.database.people().await.unwrap();
    let extensions: Vec<&str> = (people.iter())
        .map(|person| person.extension.as_str())
        .collect();
    assert_eq!(extensions, ["1001", "1003"]);
}
