//! Socket.IO as any client speaks it: frames by hand.

mod common;

use common::{House, device_of, socket::Socket, until, watch};
use futures_util::SinkExt as _;
use rollcall_e2e::injection::STRINGS;
use rollcall_wire::{WIRE_VERSION, http::AgentLogoutRequest, realtime::DeviceHeartbeat};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn the_token_may_stand_in_the_authorization_header_with_bearer_or_bare() {
    let house = House::open().await;
    let token = house.sign_in("supervisor").await.tokens.sip;
    for value in [format!("Bearer {token}"), token] {
        let mut socket = Socket::open(&house, Some(value)).await;
        socket.say("40").await;
        assert!(socket.hear().await.starts_with("40{"));
        let (name, snapshot) = socket.event().await;
        assert_eq!(name, "agents:snapshot");
        assert_eq!(snapshot["agents"].as_array().unwrap().len(), 2);
        assert!(snapshot["epoch"].is_string() && snapshot["seq"].is_u64());
    }
}

#[tokio::test]
async fn without_a_good_token_the_answer_is_a_connect_error_that_says_why() {
    let house = House::open().await;
    let refresh = house.sign_in("agent1001").await.tokens.refresh;
    let over = house.sign_in("agent1002").await.tokens.sip;
    let leave = AgentLogoutRequest::default();
    house.client.agent_logout(&over, &leave).await.unwrap();
    let expired = house.sign_in("supervisor").await.tokens.sip;
    common::execute(
        house.dir.path(),
        "UPDATE tokens SET expires_at = 1 WHERE kind = 'access' AND session_id IN
             (SELECT s.id FROM sessions s JOIN users u ON u.id = s.user_id WHERE username = 'supervisor')",
    )
    .await;
    let with = |token: &str| format!("40{}", json!({ "token": token }));
    for (hello, code) in [
        ("40".to_owned(), "missing_token"),
        ("40{}".to_owned(), "missing_token"),
        ("40[1]".to_owned(), "missing_token"),
        (with(""), "invalid_token"),
        (with("' OR 1=1 --"), "invalid_token"),
        (with(&refresh), "invalid_token"),
        (with(&over), "invalid_token"),
        (with(&expired), "invalid_token"),
    ] {
        let mut socket = Socket::open(&house, None).await;
        socket.say(hello.as_str()).await;
        let answer = socket.hear().await;
        let error: Value = serde_json::from_str(answer.strip_prefix("44").unwrap()).unwrap();
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with(code), "{hello}: {message}");
    }
    // Whatever else stands in its fields.
    let good = house.sign_in("agent1001").await.tokens.sip;
    for text in STRINGS {
        for auth in [
            json!({ "token": text, "device": text }),
            json!({ "token": good, "wire": text }),
            json!({ "token": [text] }),
        ] {
            let mut socket = Socket::open(&house, None).await;
            socket.say(format!("40{auth}")).await;
            let answer = socket.hear().await;
            assert!(answer.starts_with("44"), "{auth}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_client_whose_version_of_the_wire_is_too_old_is_told_to_update() {
    let house = House::open().await;
    let token = house.sign_in("supervisor").await.tokens.sip;
    let hello = |wire: u32| format!("40{}", json!({ "token": token, "wire": wire }));
    let mut old = Socket::open(&house, None).await;
    old.say(hello(0)).await;
    let answer = old.hear().await;
    let error: Value = serde_json::from_str(answer.strip_prefix("44").unwrap()).unwrap();
    assert_eq!(
        error["message"],
        "app_too_old: The app is too old for this server; update it."
    );
    // The version before, this one, and one that is not known yet: that client judges by itself.
    for spoken in [WIRE_VERSION - 1, WIRE_VERSION, WIRE_VERSION + 1] {
        let mut socket = Socket::open(&house, None).await;
        socket.say(hello(spoken)).await;
        assert!(socket.hear().await.starts_with("40{"), "{spoken}");
        assert_eq!(socket.event().await.0, "agents:snapshot");
    }
    let figures = house.running.metrics().render().unwrap();
    let line = "rollcall_refusals_total{door=\"socketio\",kind=\"app_too_old\"} 1";
    assert!(figures.contains(line), "{figures}");
}

#[tokio::test]
async fn whatever_a_client_says_the_board_goes_on() {
    let house = House::open().await;
    let token = house.sign_in("agent1001").await.tokens.sip;
    let mut socket = Socket::open(&house, Some(token.clone())).await;
    socket.say("40").await;
    socket.hear().await;
    socket.event().await;
    for odd in [
        r#"42["device:heartbeat"]"#,
        r#"42["device:heartbeat",7]"#,
        r#"42["device:heartbeat",{"deviceId":"somebody-else","tick":1,"registered":true,"sipLoopMs":1,"audioOk":true,"calls":0}]"#,
        r#"42["device:heartbeat",{"deviceId":"device-00001001","tick":-1,"registered":true,"sipLoopMs":1,"audioOk":true,"calls":0}]"#,
        r#"42["agents:snapshot",{}]"#,
        r#"42["agents:resync",[[[[]]]]]"#,
        r#"42["unheard:of"]"#,
    ] {
        socket.say(odd).await;
    }
    // The one good word among them was a wish for a snapshot.
    assert_eq!(socket.event().await.0, "agents:snapshot");
    socket
        .say(format!("42[\"x\",\"{}\"]", "a".repeat(64 * 1024)))
        .await;
    assert_eq!(
        socket.hear().await,
        "closed",
        "an oversized message ends its connection"
    );
    let (_realtime, _, board) = watch(&house.client, &token).await;
    let own = board
        .agents
        .iter()
        .find(|agent| agent.extension == "1001")
        .unwrap();
    assert!(
        own.devices
            .iter()
            .all(|device| !device.id.contains("somebody"))
    );
}

#[tokio::test]
async fn a_message_with_binary_parts_ends_its_connection_whether_signed_in_or_not() {
    let house = House::open().await;
    let token = house.sign_in("supervisor").await.tokens.sip;
    let announced = r#"451-["x",{"_placeholder":true,"num":0}]"#;
    for hello in [None, Some(format!("40{}", json!({ "token": token })))] {
        let mut socket = Socket::open(&house, None).await;
        if let Some(hello) = hello {
            socket.say(hello).await;
            assert!(socket.hear().await.starts_with("40{"));
            assert_eq!(socket.event().await.0, "agents:snapshot");
        }
        socket.say(announced).await;
        socket.ends().await;
    }
    let mut socket = Socket::open(&house, None).await;
    let part = Message::binary(vec![0; 1_024]);
    socket.0.send(part).await.unwrap();
    // A part of nothing.
    socket.ends().await;
}

#[tokio::test]
async fn a_heartbeat_of_its_own_device_begins_a_lease() {
    let house = House::open().await;
    let token = house.sign_in("agent1001").await.tokens.sip;
    house.online(&token).await;
    let supervisor = house.sign_in("supervisor").await.tokens.sip;
    let (_watching, mut board, _) = watch(&house.client, &supervisor).await;
    let (device, _events, _) = watch(&house.client, &token).await;
    device.heartbeat(DeviceHeartbeat {
        device_id: device_of("agent1001"),
        tick: 1,
        registered: true,
        sip_loop_ms: 1,
        audio_loop_ms: None,
        audio_ok: true,
        calls: 0,
    });
    let seen = until(&mut board, |status| {
        status.agent.devices.iter().any(|device| device.lease)
    })
    .await;
    assert_eq!(seen.agent.devices[0].id, device_of("agent1001"));
}
