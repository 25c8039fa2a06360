//! The board over Socket.IO: snapshot first, then every change in order.

mod common;

use common::{House, next, until, watch};
use rollcall_server::{core_link::DeviceNotice, events::Event};
use rollcall_server_client::{Realtime, RealtimeEvent};
use rollcall_wire::{board::BoardStatus, http::Role, realtime::SessionEnded};

#[tokio::test]
async fn a_connection_hears_the_snapshot_and_then_every_change() {
    let house = House::open().await;
    let supervisor = house.sign_in("supervisor").await.tokens.sip;
    // Whoever was added while the server ran is on the board once signed in.
    let agent = house.sign_in("agent1001").await.tokens.sip;
    let (_watching, mut events, snapshot) = watch(&house.client, &supervisor).await;
    let known = snapshot
        .agents
        .iter()
        .find(|agent| agent.extension == "1001");
    assert!(!known.expect("1001 is on the board").online);

    let answer = house.online(&agent).await;
    assert!(answer.agent.online);
    let seen = until(&mut events, |status| {
        status.agent.extension == "1001" && status.agent.online
    })
    .await;
    assert_eq!(seen.epoch, snapshot.epoch);
    assert!(seen.seq > snapshot.seq);

    house.sign_out(&agent).await;
    until(&mut events, |status| {
        status.agent.extension == "1001" && !status.agent.online
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_comes_later_starts_where_the_board_stands() {
    let house = House::open().await;
    let agent = house.sign_in("agent1001").await.tokens.sip;
    house.online(&agent).await;
    let supervisor = house.sign_in("supervisor").await.tokens.sip;
    let (_watching, _, snapshot) = watch(&house.client, &supervisor).await;
    let known = snapshot
        .agents
        .iter()
        .find(|agent| agent.extension == "1001");
    assert!(known.expect("1001 is on the board").online);
    assert!(snapshot.seq > 0);
}

#[tokio::test]
async fn who_lost_their_tokens_sees_no_more_of_the_board_though_a_call_keeps_the_session() {
    let house = House::open().await;
    let chief = common::person("chief", Some("1003"), Role::Supervisor);
    house.running.add_person(chief).await.unwrap();
    let token = house.sign_in("chief").await.tokens.sip;
    let session = "SELECT id FROM sessions";
    let session = common::query(house.dir.path(), session).await[0][0]
        .1
        .parse()
        .unwrap();
    let (_revoked, mut heard, _) = watch(&house.client, &token).await;
    let supervisor = house.sign_in("supervisor").await.tokens.sip;
    let (_watching, mut board, _) = watch(&house.client, &supervisor).await;
    let core = house.running.core();
    core.tell(session, DeviceNotice::Revoked);
    let agent = house.sign_in("agent1001").await.tokens.sip;
    house.online(&agent).await;
    until(&mut board, |status| {
        status.agent.extension == "1001" && status.agent.online
    })
    .await;
    let over = SessionEnded {
        reason: "forced".into(),
        message: "over".into(),
    };
    core.tell(session, DeviceNotice::SessionEnded(over));
    // In between nothing of 1001's.
    loop {
        match next(&mut heard).await {
            RealtimeEvent::SessionEnded(_) => break,
            RealtimeEvent::Status(status) => assert_ne!(status.agent.extension, "1001"),
            other => panic!("the end was awaited, and {other:?} came"),
        }
    }
}

#[tokio::test]
async fn without_a_living_token_there_is_no_connection_and_no_board() {
    let house = House::open().await;
    let signed_out = house.sign_in("agent1001").await.tokens.sip;
    house.sign_out(&signed_out).await;
    for token in ["", "nonsense", signed_out.as_str()] {
        let (_realtime, mut events) = Realtime::connect(&house.client, token.to_owned());
        let RealtimeEvent::Rejected(body) = next(&mut events).await else {
            panic!("{token:?} was taken");
        };
        assert_eq!(body.code, "invalid_token");
    }
}

#[tokio::test]
async fn a_rejected_connection_comes_back_with_a_new_token() {
    let house = House::open().await;
    let (realtime, mut events) = Realtime::connect(&house.client, "nonsense".into());
    assert!(matches!(
        next(&mut events).await,
        RealtimeEvent::Rejected(_)
    ));
    realtime.set_token(house.sign_in("agent1001").await.tokens.sip);
    assert_eq!(next(&mut events).await, RealtimeEvent::Connected);
    assert!(matches!(
        next(&mut events).await,
        RealtimeEvent::Snapshot(_)
    ));
}

#[tokio::test]
async fn a_device_that_logs_out_is_told_that_its_session_ended() {
    let house = House::open().await;
    let token = house.sign_in("agent1001").await.tokens.sip;
    let (_realtime, mut events, _) = watch(&house.client, &token).await;
    house.online(&token).await;
    house.sign_out(&token).await;
    loop {
        match next(&mut events).await {
            RealtimeEvent::Status(_) => {}
            RealtimeEvent::SessionEnded(ended) => {
                assert!(!ended.message.is_empty());
                return;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_supervisor_that_signs_out_hears_no_more_of_the_board() {
    let house = House::open().await;
    let token = house.sign_in("supervisor").await.tokens.sip;
    let (_realtime, mut events, _) = watch(&house.client, &token).await;
    house.sign_out(&token).await;
    let RealtimeEvent::SessionEnded(ended) = next(&mut events).await else {
        panic!("the end was not told");
    };
    assert_eq!(ended.reason, "logout");
}

#[tokio::test]
async fn a_server_that_goes_is_lost_once_and_found_again_with_its_board() {
    let house = House::open().await;
    let token = house.sign_in("supervisor").await.tokens.sip;
    let address = house.running.http_addr();
    let (_watching, mut events, before) = watch(&house.client, &token).await;
    let common::House { running, dir, .. } = house;
    running.shutdown().await;
    assert!(matches!(
        next(&mut events).await,
        RealtimeEvent::Lost { .. }
    ));
    let mut config = common::config(dir.path());
    config.listen = address;
    let _again = rollcall_server::start(config).await.unwrap();
    assert_eq!(next(&mut events).await, RealtimeEvent::Connected);
    let RealtimeEvent::Snapshot(after) = next(&mut events).await else {
        panic!("the board was awaited");
    };
    assert_ne!(after.epoch, before.epoch);
    assert_eq!(after.agents.len(), 2);
}

#[tokio::test]
async fn agents_see_colleagues_states_alone_and_supervisors_see_the_reasons() {
    let house = House::open().await;
    let own = house.sign_in("agent1001").await.tokens.sip;
    let colleague = house.sign_in("agent1002").await.tokens.sip;
    let supervisor = house.sign_in("supervisor").await.tokens.sip;
    let (_a, mut own_events, _) = watch(&house.client, &own).await;
    let (_b, mut colleagues, _) = watch(&house.client, &colleague).await;
    let (_c, mut supervisors, _) = watch(&house.client, &supervisor).await;
    house.online(&own).await;
    let about = |status: &rollcall_wire::realtime::AgentStatus| {
        status.agent.extension == "1001" && status.agent.online
    };
    let own_view = until(&mut own_events, about).await;
    let colleagues_view = until(&mut colleagues, about).await;
    let supervisors_view = until(&mut supervisors, about).await;
    for view in [&own_view, &supervisors_view] {
        let reasons = &view.agent.reasons;
        assert!(!reasons.is_empty(), "nothing proves 1001 available");
        assert!(reasons.iter().all(|reason| reason.message.is_some()));
        assert!(!view.agent.devices.is_empty());
        assert!(view.agent.sources.contains_key("app"));
    }
    assert_eq!(colleagues_view.agent.status, own_view.agent.status);
    assert!(colleagues_view.agent.reasons.is_empty());
    assert!(colleagues_view.agent.devices.is_empty());
    let sources: Vec<_> = colleagues_view.agent.sources.keys().collect();
    assert_eq!(sources, ["ami", "database"]);
    assert_eq!(own_view.seq, supervisors_view.seq);
    assert_eq!(own_view.seq, colleagues_view.seq);
}

#[tokio::test]
async fn two_servers_live_in_one_process_and_do_not_know_each_other() {
    let (one, other) = tokio::join!(House::open(), House::open());
    let token = one.sign_in("agent1001").await.tokens.sip;
    let elsewhere = other
        .client
        .agent_online(&token, "1001", "sip:1001@h")
        .await;
    assert!(elsewhere.unwrap_err().is_signed_out());
    one.client
        .agent_online(&token, "1001", "sip:1001@h")
        .await
        .unwrap();
    one.running.shutdown().await;
    other.sign_in("agent1001").await;
}

#[tokio::test]
async fn the_internal_events_carry_a_committed_change_by_name() {
    let house = House::open().await;
    let token = house.sign_in("agent1001").await.tokens.sip;
    let mut events = house.running.events();
    house.online(&token).await;
    house.sign_out(&token).await;
    // Without Asterisk the state is Unknown throughout, and no contact is known.
    assert!(matches!(
        events.try_recv(),
        Err(tokio::sync::broadcast::error::TryRecvError::Empty)
    ));
    house
        .running
        .add_person(common::person(
            "agent1003",
            Some("1003"),
            rollcall_wire::http::Role::Agent,
        ))
        .await
        .unwrap();
    let event = tokio::time::timeout(common::PATIENCE, events.recv())
        .await
        .expect("an event in time")
        .unwrap();
    assert_eq!(event.name(), "extension:availability_changed");
    assert_eq!(event.extension(), "1003");
    let Event::AvailabilityChanged(change) = event else {
        panic!("{event:?}");
    };
    assert_eq!(change.before, None);
    assert_eq!(change.status, BoardStatus::Unknown);
    assert_eq!(change.reasons, ["ami_lost"]);
}

#[tokio::test]
async fn a_session_whose_end_the_board_missed_is_ended_all_the_same() {
    let house = House::open().await;
    let token = house.sign_in("supervisor").await.tokens.sip;
    let (_realtime, mut events, _) = watch(&house.client, &token).await;
    common::execute(
        house.dir.path(),
        "UPDATE sessions SET ended_at = started_at, end_reason = 'forced_out'",
    )
    .await;
    // This test's thread is the board's: it cannot keep up.
    for _ in 0..20_000 {
        let nobody = rollcall_server::auth::SessionId::from_u128(1);
        house.running.core().tell(nobody, DeviceNotice::Reregister);
    }
    loop {
        match next(&mut events).await {
            RealtimeEvent::Snapshot(_) => {}
            RealtimeEvent::SessionEnded(ended) => {
                assert_eq!(ended.reason, "forced");
                return;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn after_a_restart_who_is_offline_still_reads_why() {
    let house = House::open().await;
    let token = house.sign_in("agent1001").await.tokens.sip;
    house.sign_out(&token).await;
    let restored = house.running.database().restore().await.unwrap();
    let ends: Vec<_> = restored
        .last_ends
        .iter()
        .map(|(extension, reason)| (extension.as_str(), reason.as_str()))
        .collect();
    assert_eq!(ends, [("1001", "logged_out")]);
}
