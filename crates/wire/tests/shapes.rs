//! The shapes on the wire, to the letter: what clients of the seed's kind read and send.

use std::collections::BTreeMap;

use rollcall_wire::{board::*, http::*, realtime::*};
use serde_json::json;

fn agent() -> Agent {
    Agent {
        extension: "1001".into(),
        status: BoardStatus::NotAvailable,
        contact_status: ContactStatus::Expired,
        online: true,
        sip_registered: false,
        reasons: vec![Reason {
            code: "app_lost".into(),
            message: None,
            since: 5,
        }],
        since: 7,
        pause: None,
        sources: BTreeMap::from([(
            "ami".into(),
            SourceHealth {
                ok: true,
                as_of: Some(6),
            },
        )]),
        devices: vec![],
    }
}

#[test]
fn a_status_delta_carries_epoch_seq_and_the_agent_flat() {
    let status = AgentStatus {
        epoch: "e1".into(),
        seq: 4,
        agent: agent(),
    };
    assert_eq!(
        serde_json::to_value(&status).unwrap(),
        json!({
            "epoch": "e1", "seq": 4, "extension": "1001", "status": "NotAvailable", "contactStatus": "Expired",
            "online": true, "sipRegistered": false, "reasons": [{"code": "app_lost", "since": 5}], "since": 7,
            "sources": {"ami": {"ok": true, "asOf": 6}}, "devices": [],
        })
    );
    let back: AgentStatus = serde_json::from_value(serde_json::to_value(&status).unwrap()).unwrap();
    assert_eq!(back, status);
}

#[test]
fn a_login_answers_what_the_seeds_code_reads() {
    let response = LoginResponse {
        tokens: Tokens {
            sip: "t".into(),
            refresh: "r".into(),
        },
        expires_at: 9,
        user: User {
            username: "ann".into(),
            extension: Some("1001".into()),
            role: Role::Agent,
            pjsip: Some(Pjsip {
                server: "127.0.0.1:5060".into(),
                transport: "udp".into(),
                username: "1001".into(),
                password: "p".into(),
                authorities: None,
            }),
        },
    };
    let value = serde_json::to_value(&response).unwrap();
    assert_eq!(value["tokens"]["sip"], "t");
    assert_eq!(value["user"]["extension"], "1001");
    assert_eq!(value["user"]["pjsip"]["server"], "127.0.0.1:5060");
    assert!(value["user"]["pjsip"].get("authorities").is_none());
    assert_eq!(value["expiresAt"], 9);
    // A server that names none is understood.
    let read: LoginResponse = serde_json::from_value(value).unwrap();
    assert!(read.user.pjsip.unwrap().authorities.is_none());
}

#[test]
fn what_carries_a_secret_does_not_print_it() {
    let request = LoginRequest {
        username: "ann".into(),
        password: "hush".into(),
        device_id: None,
    };
    let tokens = Tokens {
        sip: "hush".into(),
        refresh: "hush".into(),
    };
    let text = format!("{request:?} {tokens:?}");
    assert!(text.contains("ann") && !text.contains("hush"), "{text}");
}

#[test]
fn the_seeds_agent_online_body_is_read_and_an_unknown_field_refused() {
    let body: AgentOnlineRequest =
        serde_json::from_value(json!({"extension": "1001", "contactUri": "sip:1001@pbx"})).unwrap();
    assert_eq!(body.contact_uri, "sip:1001@pbx");
    let error = serde_json::from_value::<AgentOnlineRequest>(
        json!({"extension": "1", "contactUri": "", "x": 1}),
    );
    assert!(error.unwrap_err().to_string().contains("`x`"));
}
