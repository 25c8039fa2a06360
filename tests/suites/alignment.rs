//! The seed's scenarios and their faults against Asterisk 22: the phone, `pjsip show contacts`, the seed's two queries
//! and the board (seen by the official Socket.IO client) say the same.

use std::collections::BTreeSet;
use std::time::Duration;

use rollcall_e2e::board::reasons;
use rollcall_e2e::server::{LEASE, SUPERVISOR};
use rollcall_e2e::waiting::PROMPTLY;
use rollcall_e2e::{Agent, Board, Mode, Program, Scene, eventually};
use serde_json::{Value, json};

/// An explicit login or logout is on every board within this.
const ON_EVERY_BOARD: u64 = 1_000;
/// The lease, and what the server takes to notice its end.
const AFTER_THE_LEASE: Duration = LEASE.saturating_add(Duration::from_secs(4));
/// A restarted Asterisk: its boot, the server's back-off, the phones' retries.
const AFTER_A_RESTART: Duration = Duration::from_secs(60);

/// Each of these is a test in either mode: with contacts in Asterisk's astdb, and in the database that it shares with the
/// server.
macro_rules! in_both_modes {
    ($($name:ident),* $(,)?) => {
        mod mirror {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Scene::start(super::Mode::Mirror).await).await;
            })*
        }
        mod shared {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Scene::start(super::Mode::Shared).await).await;
            })*
        }
    };
}

in_both_modes! {
    a_login_is_seen_by_asterisk_the_database_and_the_board_within_a_second,
    a_logout_is_seen_by_asterisk_the_database_and_the_board_within_a_second,
    the_views_agree_at_rest_after_every_step_of_two_agents_day,
    a_call_is_transferred_to_whom_the_server_proves_available_at_that_moment,
    a_killed_app_loses_its_lease_and_takes_it_up_again,
    an_app_that_hangs_loses_its_lease_and_is_available_when_it_moves_again,
    a_cut_manager_link_makes_everybody_unknown_with_its_age_until_it_is_back,
    an_asterisk_that_restarts_is_unknown_meanwhile_and_right_afterwards,
    a_killed_server_forgets_nobody,
    a_desk_phone_that_nobody_claims_is_never_available,
    an_agent_without_a_microphone_is_told_so_and_is_not_available,
}

async fn a_login_is_seen_by_asterisk_the_database_and_the_board_within_a_second(scene: Scene) {
    scene.board.shows("1001", "Offline", PROMPTLY).await;
    let agent = Agent::new("1001").start(&scene.server);
    let contact = text(&registered(&agent).await, "contact");
    let online = agent.time_of("online").await;
    scene.board.shows("1001", "Available", PROMPTLY).await;
    let took = scene
        .board
        .first_said("1001", "Available", 0)
        .map(|t| t.saturating_sub(online));
    assert!(
        took.is_some_and(|took| took <= ON_EVERY_BOARD),
        "Available {took:?} ms after agent-online"
    );
    let user = contact
        .trim_start_matches("sip:")
        .split('@')
        .next()
        .unwrap_or_default()
        .to_owned();
    let listed = scene.asterisk.contacts("1001").await;
    assert!(
        listed.len() == 1 && listed[0].uri.contains(&user) && listed[0].status == "Avail",
        "{listed:?}"
    );
    scene.all_say_available("1001").await;
}

async fn a_logout_is_seen_by_asterisk_the_database_and_the_board_within_a_second(scene: Scene) {
    let mut agent = scene.signed_in("1001").await;
    let online = agent.time_of("online").await;
    assert!(
        agent.terminate().await.success(),
        "signed out, and every view agrees"
    );
    let signed_out = agent.time_of("signed_out").await;
    scene.board.shows("1001", "Offline", PROMPTLY).await;
    let took = scene
        .board
        .first_said("1001", "Offline", online)
        .map(|t| t.saturating_sub(signed_out));
    assert!(
        took.is_some_and(|took| took <= ON_EVERY_BOARD),
        "Offline {took:?} ms after the sign-out"
    );
    scene.all_say_offline("1001").await;
    the_servers_log_tells_of_the_day(&scene).await;
}

/// A line at INFO for each contact's status, for going online and offline, and for what the app's calls were answered:
/// of the extension, the device and the contact; no names, no addresses.
async fn the_servers_log_tells_of_the_day(scene: &Scene) {
    let told = [
        ("contact status changed", "status=Reachable"),
        ("contact status changed", "status=Expired"),
        ("agent online", "event=\"agent:status\""),
        ("agent offline", "event=\"agent:status\""),
        ("signed in", "device="),
        ("agent-online answered", "contact=\""),
        ("agent-logout answered", "device="),
    ];
    let mut of_1001 = Vec::new();
    eventually("the log tells of the day", PROMPTLY, async || {
        let said = scene.server.complaints();
        let of_it = |line: &String| {
            let named = line.contains("extension=1001") || line.contains("extension=\"1001\"");
            line.contains(" INFO ") && named
        };
        of_1001 = said.into_iter().filter(of_it).collect();
        let missing: Vec<_> = told
            .iter()
            .filter(|(what, which)| {
                let says = |line: &String| line.contains(what) && line.contains(which);
                !of_1001.iter().any(says)
            })
            .collect();
        match missing.is_empty() {
            true => Ok(()),
            false => Err(format!("{missing:?} of {of_1001:#?}")),
        }
    })
    .await;
    for line in of_1001 {
        assert!(
            !line.contains("sip:") && !line.contains("127.0.0.1"),
            "{line}"
        );
    }
}

async fn the_views_agree_at_rest_after_every_step_of_two_agents_day(scene: Scene) {
    let mut callee = Agent::new("1002")
        .with(["--auto-answer"])
        .start(&scene.server);
    scene.board.shows("1002", "Available", PROMPTLY).await;
    scene.all_say_available("1002").await;
    let mut caller = Agent::new("1001")
        .with(["--dial", "1002"])
        .start(&scene.server);
    for extension in ["1001", "1002"] {
        scene.board.shows(extension, "OnCall", PROMPTLY).await;
    }
    for extension in ["1001", "1002"] {
        scene.a_contact_is_reachable(extension).await;
    }
    let channels = scene.asterisk.rx("core show channels concise").await;
    assert!(
        channels.contains("PJSIP/1001-") && channels.contains("PJSIP/1002-"),
        "{channels}"
    );
    assert!(caller.terminate().await.success());
    scene.board.shows("1001", "Offline", PROMPTLY).await;
    scene.board.shows("1002", "Available", PROMPTLY).await;
    scene.all_say_offline("1001").await;
    scene.all_say_available("1002").await;
    assert!(callee.terminate().await.success());
    scene.board.shows("1002", "Offline", PROMPTLY).await;
    scene.all_say_offline("1002").await;
}

async fn a_call_is_transferred_to_whom_the_server_proves_available_at_that_moment(scene: Scene) {
    let third = Agent::new("1003")
        .with(["--auto-answer"])
        .start(&scene.server);
    scene.board.shows("1003", "Available", PROMPTLY).await;
    let (mut caller, mut handing_on) = in_a_call_that_is_to_go_to_1003(&scene).await;
    assert!(proof(&handing_on).await, "{handing_on:?}");
    let ended = |line: &Value| (line["ended"] == "Transferred to 1003.").then_some(());
    handing_on.event("hands the call on", ended).await;
    for (extension, status) in [
        ("1001", "OnCall"),
        ("1002", "Available"),
        ("1003", "OnCall"),
    ] {
        scene.board.shows(extension, status, PROMPTLY).await;
    }
    assert!(caller.terminate().await.success());
    assert!(handing_on.terminate().await.success());
    scene.board.shows("1003", "Available", PROMPTLY).await;

    let token = scene.server.token(SUPERVISOR).await;
    let pause = json!({ "reason": "lunch" });
    let paused = scene
        .server
        .post("/api/agents/1003/pause", Some(&token), &pause)
        .await;
    assert_eq!(paused.status, 200, "{paused:?}");
    let (_caller, handing_on) = in_a_call_that_is_to_go_to_1003(&scene).await;
    assert!(!proof(&handing_on).await, "{handing_on:?}");
    let calls = |program: &Program| {
        let events = program.events();
        let calls = events.iter().filter(|line| line["event"] == "call");
        calls
            .filter_map(|line| line["id"].as_u64())
            .collect::<BTreeSet<_>>()
            .len()
    };
    for extension in ["1001", "1002"] {
        scene.board.shows(extension, "OnCall", PROMPTLY).await;
    }
    assert_eq!(calls(&third), 1, "the second one stays where it is");
}

/// 1001 calls 1002, who hands the call on to 1003 if they are available.
async fn in_a_call_that_is_to_go_to_1003(scene: &Scene) -> (Program, Program) {
    let handing_on = Agent::new("1002")
        .with(["--auto-answer", "--transfer", "1003"])
        .start(&scene.server);
    scene.board.shows("1002", "Available", PROMPTLY).await;
    let caller = Agent::new("1001")
        .with(["--dial", "1002"])
        .start(&scene.server);
    (caller, handing_on)
}

/// What the server said of whether the call may go to 1003.
async fn proof(program: &Program) -> bool {
    let told = |line: &Value| match line["event"] == "proof" {
        true => line["available"].as_bool(),
        false => None,
    };
    program.event("hears of a proof", told).await
}

async fn a_killed_app_loses_its_lease_and_takes_it_up_again(scene: Scene) {
    let person = Agent::new("1001");
    let mut agent = person.start(&scene.server);
    scene.board.shows("1001", "Available", PROMPTLY).await;
    agent.kill();
    let lost = scene.board.shows_where(
        "1001",
        "not Available: app_lost",
        AFTER_THE_LEASE,
        |agent| agent["status"] != "Available" && reasons(agent).contains(&"app_lost"),
    );
    lost.await;
    let _again = person.start(&scene.server);
    scene.board.shows("1001", "Available", PROMPTLY).await;
    scene.all_say_available("1001").await;
}

async fn an_app_that_hangs_loses_its_lease_and_is_available_when_it_moves_again(scene: Scene) {
    let agent = scene.signed_in("1001").await;
    agent.freeze();
    let hung = scene
        .board
        .shows_where("1001", "not Available", AFTER_THE_LEASE, |agent| {
            agent["status"] != "Available"
        });
    let hung = hung.await;
    assert!(!reasons(&hung).is_empty(), "{hung}");
    agent.thaw();
    scene
        .board
        .shows("1001", "Available", AFTER_A_RESTART)
        .await;
}

async fn a_cut_manager_link_makes_everybody_unknown_with_its_age_until_it_is_back(scene: Scene) {
    let _agent = scene.signed_in("1001").await;
    scene.server.ami().cut();
    for extension in ["1001", "1002"] {
        let unknown = scene.board.shows(extension, "Unknown", PROMPTLY).await;
        let ami = &unknown["sources"]["ami"];
        assert!(
            ami["ok"] == false && ami["asOf"].as_u64().is_some(),
            "the source, and when it was last right: {unknown}"
        );
    }
    scene.server.ami().mend();
    scene.board.shows("1001", "Available", PROMPTLY).await;
    scene.board.shows("1002", "Offline", PROMPTLY).await;
    scene.all_say_available("1001").await;
}

async fn an_asterisk_that_restarts_is_unknown_meanwhile_and_right_afterwards(mut scene: Scene) {
    let _agent = scene.signed_in("1001").await;
    scene.asterisk.kill();
    scene.board.shows("1001", "Unknown", PROMPTLY).await;
    scene.asterisk.boot().await;
    scene
        .board
        .shows("1001", "Available", AFTER_A_RESTART)
        .await;
    scene.all_say_available("1001").await;
}

async fn a_killed_server_forgets_nobody(mut scene: Scene) {
    let _agent = scene.signed_in("1001").await;
    let before = epoch_of(&scene.board);
    scene.server.kill();
    scene.server.serve().await;
    eventually(
        "the board is of a new epoch",
        AFTER_A_RESTART,
        async || match epoch_of(&scene.board) {
            epoch if epoch != before => Ok(()),
            epoch => Err(epoch),
        },
    )
    .await;
    scene
        .board
        .shows("1001", "Available", AFTER_A_RESTART)
        .await;
    scene.board.shows("1002", "Offline", PROMPTLY).await;
    scene.all_say_available("1001").await;
}

async fn a_desk_phone_that_nobody_claims_is_never_available(scene: Scene) {
    let phone = rollcall_e2e::phone::Phone::of("1001", &scene.asterisk).start();
    phone.registered().await;
    let seen = scene.board.shows_where(
        "1001",
        "has a device that nobody claims",
        PROMPTLY,
        |agent| {
            agent["sipRegistered"] == true
                || agent["devices"]
                    .as_array()
                    .is_some_and(|devices| !devices.is_empty())
        },
    );
    let seen = seen.await;
    assert_ne!(seen["status"], "Available", "{seen}");
    assert_eq!(scene.board.first_said("1001", "Available", 0), None);
}

async fn an_agent_without_a_microphone_is_told_so_and_is_not_available(scene: Scene) {
    let agent = Agent::new("1001")
        .without_sound_devices()
        .start(&scene.server);
    let notice = agent
        .event("says that there is no microphone", |event| {
            (event["event"] == "notice").then(|| event.clone())
        })
        .await;
    let error = &notice["error"];
    assert!(
        error["code"] == "no_audio_device"
            && error["next"].as_str().is_some_and(|next| !next.is_empty()),
        "{notice}"
    );
    let seen = scene
        .board
        .shows_where("1001", "no_audio_device", PROMPTLY, |agent| {
            reasons(agent).contains(&"no_audio_device")
        });
    assert_eq!(seen.await["status"], "NotAvailable");
    assert_eq!(scene.board.first_said("1001", "Available", 0), None);
    // Drained, it turns calls away (R10).
    agent
        .event("hears it of itself", |event| {
            let reasons = event["reasons"].as_array()?;
            let heard = reasons.iter().any(|one| one["code"] == "no_audio_device");
            (event["event"] == "own" && heard).then_some(())
        })
        .await;
    let caller = Agent::new("1002")
        .with(["--dial", "1001"])
        .start(&scene.server);
    let told = caller.event("hears why nobody answers", |event| {
        event["ended"].as_str().map(str::to_owned)
    });
    // 480; a phone that is busy (486) reads otherwise.
    assert_eq!(told.await, "Nobody answers at this number.");
}

async fn registered(agent: &Program) -> Value {
    agent
        .event("registered", |event| {
            (event["event"] == "registered").then(|| event.clone())
        })
        .await
}

fn text(event: &Value, field: &str) -> String {
    event[field].as_str().unwrap_or_default().to_owned()
}

fn epoch_of(board: &Board) -> String {
    let snapshots = board.program().events().into_iter().rev();
    snapshots
        .filter(|event| event["event"] == "agents:snapshot")
        .map(|event| text(&event["data"], "epoch"))
        .next()
        .unwrap_or_default()
}

#[tokio::test]
async fn a_pause_is_kept_by_asterisks_queues_and_an_app_that_is_lost_is_drained_from_them() {
    let scene = Scene::start(Mode::Mirror).await;
    let add = "queue add member PJSIP/1001 to support";
    scene.asterisk.rx(add).await;
    let agent = scene.signed_in("1001").await;
    let supervisor = scene.server.token(SUPERVISOR).await;
    let ask = async |path: &str, body: Value| {
        let path = format!("/api/agents/1001/{path}");
        scene.server.post(&path, Some(&supervisor), &body).await
    };
    let refused = ask("pause", json!({ "reason": "Long lunch" })).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    assert_eq!(refused.body["field"], "reason", "{refused:?}");
    queue_says(&scene, &["PJSIP/1001"], &["paused"]).await;

    let paused = ask("pause", json!({ "reason": "lunch" })).await;
    assert_eq!(paused.status, 200, "{paused:?}");
    scene.board.shows("1001", "Paused", PROMPTLY).await;
    queue_says(&scene, &["paused:lunch"], &[]).await;
    let ended = ask("unpause", json!({})).await;
    assert_eq!(ended.status, 200, "{ended:?}");
    scene.board.shows("1001", "Available", PROMPTLY).await;
    queue_says(&scene, &["PJSIP/1001"], &["paused"]).await;

    agent.freeze();
    let within = AFTER_THE_LEASE + PROMPTLY;
    scene.board.shows("1001", "NotAvailable", within).await;
    queue_says(&scene, &["paused:rollcall"], &[]).await;
    agent.thaw();
    let again = AFTER_A_RESTART;
    scene.board.shows("1001", "Available", again).await;
    queue_says(&scene, &["PJSIP/1001"], &["paused"]).await;
}

/// Waits until Asterisk's queue says all of `said`, and nothing of `not_said`.
async fn queue_says(scene: &Scene, said: &[&str], not_said: &[&str]) {
    let what = format!("the queue says {said:?} and not {not_said:?}");
    eventually(&what, PROMPTLY, async || {
        let shown = scene.asterisk.rx("queue show support").await;
        let is_said = |words: &&str| shown.contains(*words);
        match said.iter().all(is_said) && !not_said.iter().any(is_said) {
            true => Ok(()),
            false => Err(shown),
        }
    })
    .await;
}
