//! Servers that share a database: one at a time has an Asterisk.

use super::*;

fn tenure(id: &str) -> Tenure {
    Tenure {
        manager: "127.0.0.1:5038".into(),
        instance: Instance {
            id: id.into(),
            run: format!("run of {id}"),
            name: String::new(),
        },
    }
}

impl Scene {
    async fn presence(&self, presence: Presence) -> Result<(), WriteError> {
        self.database.commit(vec![Write::Presence(presence)]).await
    }

    async fn holder(&self) -> Option<Holder> {
        self.database.holder("127.0.0.1:5038").await.unwrap()
    }
}

pub(super) async fn an_asterisk_is_one_servers_until_that_one_is_silent(scene: Scene) {
    let (first, second) = (tenure("a"), tenure("b"));
    let refused = |outcome| matches!(outcome, Err(WriteError::Conflict(_)));
    for (tenure, at) in [(&first, 1), (&second, 2), (&first, 3)] {
        let here = Presence::Here(tenure.instance.clone(), at);
        scene.presence(here).await.unwrap();
    }
    assert_eq!(scene.count("SELECT MAX(seen_at) FROM instances").await, 3);
    assert_eq!(scene.count("SELECT COUNT(*) FROM instances").await, 2);

    let take = Presence::Take(first.clone(), None);
    scene.presence(take).await.unwrap();
    let take = Presence::Take(second.clone(), None);
    assert!(refused(scene.presence(take).await), "it is not free");
    let seen = scene.holder().await;
    let hold = Presence::Hold(first.clone());
    scene.presence(hold.clone()).await.unwrap();
    let take = Presence::Take(second.clone(), seen);
    assert!(refused(scene.presence(take).await), "the holder spoke");

    let seen = scene.holder().await;
    let take = Presence::Take(second.clone(), seen.clone());
    scene.presence(take).await.unwrap();
    let late = Presence::Take(tenure("c"), seen);
    assert!(refused(scene.presence(late).await), "another was quicker");
    assert!(refused(scene.presence(hold).await), "it is not theirs now");

    scene.presence(Presence::Leave(first)).await.unwrap();
    let holder = scene.holder().await.map(|holder| holder.instance);
    assert_eq!(holder.as_deref(), Some("b"), "not the leaver's to give");
    scene.presence(Presence::Leave(second)).await.unwrap();
    assert_eq!(scene.holder().await, None);
    assert_eq!(scene.count("SELECT COUNT(*) FROM instances").await, 0);
}

pub(super) async fn what_a_server_writes_that_was_succeeded_is_not_made(scene: Scene) {
    let tenure = tenure("a");
    let take = Presence::Take(tenure.clone(), None);
    scene.presence(take).await.unwrap();
    scene.database.fence(tenure);
    scene.commit(vec![user("ann", "1001")]).await;
    let mut db = scene.raw().await;
    db.run("UPDATE managers SET instance = 'b', run = 'b'")
        .await
        .unwrap();
    let refused = scene.database.commit(vec![user("bob", "1002")]).await;
    assert!(matches!(refused, Err(WriteError::Down(_))), "{refused:?}");
    assert_eq!(scene.count("SELECT COUNT(*) FROM users").await, 1);
}
