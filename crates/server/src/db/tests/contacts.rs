//! `ps_contacts` in both modes, and beside an Asterisk that writes it.

use super::*;

pub(super) async fn the_mirror_is_read_back_as_it_was_written(scene: Scene) {
    scene.commit(vec![user("ann", "1001")]).await;
    let writes = vec![
        presence(true),
        contact("1001;@abc", ContactStatus::Expired),
        contact("1001;@def", ContactStatus::Reachable),
    ];
    scene.commit(writes).await;
    let restored = scene.database.restore().await.unwrap();
    assert_eq!(restored.people.len(), 1);
    assert!(restored.users[0].online && restored.users[0].sip_registered);
    let statuses: Vec<_> = restored.contacts.iter().map(|row| row.status).collect();
    assert_eq!(statuses, [ContactStatus::Expired, ContactStatus::Reachable]);
    assert_eq!(restored.contacts[0].expires_unix, 5_000);
    let gone = alignment::Write::ContactGone(ContactId::new("1001;@abc"));
    scene.commit(vec![Write::Core(gone)]).await;
    assert_eq!(scene.database.contacts().await.unwrap().len(), 1);
}

pub(super) async fn a_row_of_the_mirror_in_another_spelling_gives_way_to_ours(scene: Scene) {
    let mut db = scene.raw().await;
    for id in ["1001^3B@abc", "1001^3B@def"] {
        let insert = format!("INSERT INTO ps_contacts (id, endpoint) VALUES ('{id}', '1001')");
        db.run(&insert).await.unwrap();
    }
    db.close().await.unwrap();
    let gone = alignment::Write::ContactGone(ContactId::new("1001;@abc"));
    let writes = vec![
        contact("1001;@def", ContactStatus::Reachable),
        Write::Core(gone),
    ];
    scene.commit(writes).await;
    let rows = scene.rows("SELECT id, status FROM ps_contacts").await;
    let text = |row: &Row, column| row.try_get::<String>(column).unwrap();
    let rows: Vec<_> = rows
        .iter()
        .map(|row| (text(row, 0), text(row, 1)))
        .collect();
    assert_eq!(rows, [("1001;@def".to_owned(), "Reachable".to_owned())]);
}

pub(super) async fn the_seeds_two_queries_run_as_written(scene: Scene) {
    scene.commit(vec![user("ann", "1001")]).await;
    scene
        .commit(vec![contact("1001;@abc", ContactStatus::Reachable)])
        .await;
    let contacts = scene
        .rows(
            "SELECT endpoint, status, expiration_time
FROM ps_contacts
WHERE endpoint = '1001';",
        )
        .await;
    let text = |row: &Row, column| row.try_get::<String>(column).unwrap();
    assert_eq!(text(&contacts[0], 0), "1001");
    assert_eq!(text(&contacts[0], 1), "Reachable");
    assert_eq!(contacts[0].try_get::<i64>(2).unwrap(), 5_000);
    let users = scene
        .rows(
            "SELECT username, extension, online, sipRegistered
FROM users
WHERE extension = '1001';",
        )
        .await;
    assert_eq!(
        (text(&users[0], 0), text(&users[0], 1)),
        ("ann".into(), "1001".into())
    );
    assert!(!users[0].try_get::<bool>(2).unwrap() && !users[0].try_get::<bool>(3).unwrap());
}

pub(super) async fn a_table_of_asterisks_own_keeps_its_columns_and_rows_and_gains_ours(
    scene: Scene,
) {
    scene.database.close().await;
    let mut db = scene.raw().await;
    db.run("DROP TABLE ps_contacts").await.unwrap();
    let stock = db.dialect().contacts_table();
    db.run(stock).await.unwrap();
    db.run("ALTER TABLE ps_contacts ADD COLUMN odd VARCHAR(20)")
        .await
        .unwrap();
    let before = columns(&mut db).await;
    db.run("INSERT INTO ps_contacts (id, endpoint, qualify_2xx_only, odd) VALUES ('1001^3B@abc', '1001', 'yes', 'kept')")
        .await
        .unwrap();
    db.run("INSERT INTO ps_contacts (id) VALUES ('of nobody')")
        .await
        .unwrap();
    let scene = Scene::open(scene.config).await;
    let rows = scene.database.contacts().await.unwrap();
    assert_eq!(rows.len(), 1, "a row without an endpoint is nobody's");
    assert_eq!(rows[0].id.as_str(), "1001;@abc");
    assert_eq!(rows[0].status, ContactStatus::Unknown);
    let mut after = columns(&mut db).await;
    assert_eq!(after.pop().unwrap().0, "status");
    assert_eq!(after, before);
    let row = &scene.rows("SELECT odd FROM ps_contacts ORDER BY id").await[0];
    assert_eq!(row.try_get::<String>(0).unwrap(), "kept");
}

async fn columns(db: &mut Connection) -> Vec<(String, String)> {
    let catalogue = db.dialect().columns();
    let rows = query(catalogue).bind("ps_contacts").fetch_all(db).await;
    (rows.unwrap().iter())
        .map(|row| (row.try_get(0).unwrap(), row.try_get(1).unwrap()))
        .collect()
}

/// In shared mode, on a table as Asterisk fills it.
async fn shared(scene: Scene) -> Scene {
    let scene = scene.reopened(|config| config.mode = Mode::Shared).await;
    let mut db = scene.raw().await;
    db.run(
        "INSERT INTO ps_contacts (id, uri, endpoint, expiration_time, user_agent, qualify_frequency, reg_server)
         VALUES ('1001^3B@abc', 'sip:1001@192.0.2.7:5060^3Btransport=tcp', '1001', 9000000000, 'Desk^3B 1', 10, 'pbx')",
    )
    .await
    .unwrap();
    scene
}

/// All of the shared table but our column, and that.
async fn asterisks_columns(scene: &Scene) -> (Vec<Option<String>>, i64, String) {
    let rows = scene
        .rows("SELECT id, uri, endpoint, user_agent, reg_server, path, call_id, expiration_time, status FROM ps_contacts")
        .await;
    assert_eq!(rows.len(), 1);
    let texts = (0..7).map(|column| rows[0].try_get(column).unwrap());
    (
        texts.collect(),
        rows[0].try_get(7).unwrap(),
        rows[0].try_get(8).unwrap(),
    )
}

pub(super) async fn in_shared_mode_the_status_is_all_that_is_written_of_a_contact(scene: Scene) {
    let scene = shared(scene).await;
    let (before, expiry, status) = asterisks_columns(&scene).await;
    assert_eq!(
        status, "Unknown",
        "nothing is proved of a row just inserted"
    );
    let writes = vec![
        contact("1001;@abc", ContactStatus::Reachable),
        contact("1001;@of-no-row", ContactStatus::Reachable),
    ];
    scene.commit(writes).await;
    let after = asterisks_columns(&scene).await;
    assert_eq!(after, (before, expiry, "Reachable".into()));
    let rows = scene.database.contacts().await.unwrap();
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0].uri, "sip:1001@192.0.2.7:5060;transport=tcp");
    assert_eq!(rows[0].user_agent, "Desk; 1");
    assert_eq!(rows[0].qualify_frequency, 10);
}

pub(super) async fn in_shared_mode_an_eviction_sets_the_expiry_into_the_past_and_nothing_else(
    scene: Scene,
) {
    let scene = shared(scene).await;
    let (before, _, status) = asterisks_columns(&scene).await;
    let id = ContactId::new("1001;@abc");
    scene.commit(vec![Write::ExpireContact(id)]).await;
    assert_eq!(asterisks_columns(&scene).await, (before, 1, status));
}

pub(super) async fn in_shared_mode_the_last_contact_outlives_its_row(scene: Scene) {
    let scene = shared(scene).await;
    let expired = contact("1001;@abc", ContactStatus::Expired);
    scene.commit(vec![expired]).await;
    let mut db = scene.raw().await;
    db.run("DELETE FROM ps_contacts").await.unwrap();
    let rows = scene.database.restore().await.unwrap().contacts;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].status, ContactStatus::Expired);
    assert_eq!(rows[0].uri, "sip:1001@192.0.2.1");
    let gone = alignment::Write::ContactGone(ContactId::new("1001;@abc"));
    scene.commit(vec![Write::Core(gone)]).await;
    assert!(scene.database.contacts().await.unwrap().is_empty());
}

/// Asterisk's statements, as its drivers send them: one row each, committed at once.
pub(super) async fn no_write_of_either_side_fails_while_asterisk_writes_the_same_rows(
    scene: Scene,
) {
    const ROUNDS: usize = 40;
    let scene = scene
        .reopened(|config| {
            config.mode = Mode::Shared;
            config.database.busy_timeout_ms = 5_000;
        })
        .await;
    let mut asterisk = scene.raw().await;
    let registrar = async {
        for round in 0..ROUNDS {
            let id = format!("1001^3B@{}", round % 4);
            for text in [
                "DELETE FROM ps_contacts WHERE id = ?1",
                "INSERT INTO ps_contacts (id, endpoint, uri, expiration_time) VALUES (?1, '1001', 'sip:1001@h', 9000000000)",
                "UPDATE ps_contacts SET expiration_time = 9000000001, user_agent = 'x' WHERE id = ?1",
            ] {
                query(text).bind(&id).execute(&mut asterisk).await.unwrap();
            }
            tokio::task::yield_now().await;
        }
    };
    let server = async {
        for round in 0..ROUNDS {
            let status = match round % 2 {
                0 => ContactStatus::Reachable,
                _ => ContactStatus::Unreachable,
            };
            let all = (0..4).map(|n| contact(&format!("1001;@{n}"), status));
            scene.commit(all.collect()).await;
        }
    };
    tokio::join!(registrar, server);
    assert_eq!(scene.database.contacts().await.unwrap().len(), 4);
    assert!(scene.database.healthy());
}
