//! The session against what Asterisk 22 really sent, on virtual time.

mod common;

use std::time::{Duration, Instant};

use common::{Peer, capture, kinds};
use rollcall_ami::session::{CloseReason, Output, Session, SessionConfig};
use rollcall_ami::{Action, ActionError, ContactStatus, DeviceState, EventKind, Listing};

#[test]
fn a_session_is_ready_only_once_asterisk_is_fully_booted() {
    let mut peer = Peer::new();
    peer.says("Asterisk Call Manager/11.0.0\r\n");
    let login = peer.heard();
    assert!(
        login.contains("Action: Login") && login.contains("Secret: pw"),
        "{login}"
    );
    peer.answers(
        &login,
        "Response: Success\nActionID: x1\nMessage: Authentication accepted\n\n",
    );
    assert_eq!(peer.outputs(), []);
    peer.says("Event: FullyBooted\nPrivilege: system,all\nUptime: 603\nLastReload: 249\nStatus: Fully Booted\n\n");
    let outputs = peer.outputs();
    assert_eq!(outputs.first(), Some(&Output::Ready));
    let Some(Output::Event(event)) = outputs.get(1) else {
        panic!("{outputs:?}")
    };
    let EventKind::FullyBooted(booted) = &event.kind else {
        panic!("{event:?}")
    };
    assert_eq!(booted.uptime, Some(Duration::from_secs(603)));
}

#[test]
fn a_refused_login_closes_the_session_with_asterisks_words() {
    let mut peer = Peer::new();
    peer.says("Asterisk Call Manager/11.0.0\r\n");
    let login = peer.heard();
    peer.answers(
        &login,
        "Response: Error\nActionID: x1\nMessage: Authentication failed\n\n",
    );
    let message = "Authentication failed".to_owned();
    assert_eq!(
        peer.outputs(),
        [Output::Closed(CloseReason::LoginRefused { message })]
    );
}

#[test]
fn a_secret_with_a_line_break_is_never_sent() {
    let config = SessionConfig::new("lab", "pw\r\nAction: Logoff");
    let mut session = Session::new(config, 1, Instant::now());
    session.handle_bytes(Instant::now(), b"Asterisk Call Manager/11.0.0\r\n");
    assert_eq!(session.poll_transmit(), None);
    assert!(matches!(
        session.poll_output(),
        Some(Output::Closed(CloseReason::Credentials(_)))
    ));
}

#[test]
fn an_asterisk_that_never_finishes_booting_is_given_up() {
    let mut peer = Peer::new();
    peer.says("Asterisk Call Manager/11.0.0\r\n");
    let login = peer.heard();
    peer.answers(
        &login,
        "Response: Success\nActionID: x1\nMessage: Authentication accepted\n\n",
    );
    // It answers every Ping meanwhile.
    for _ in 0..61 {
        peer.passes(Duration::from_secs(1));
        let heard = peer.heard();
        if !heard.is_empty() {
            peer.answers(&heard, "Response: Success\nActionID: x1\nPing: Pong\n\n");
        }
    }
    assert_eq!(peer.outputs(), [Output::Closed(CloseReason::NotBooted)]);
}

#[test]
fn silence_is_answered_with_a_ping_and_more_silence_is_a_lost_link() {
    let mut peer = Peer::ready();
    peer.passes(Duration::from_secs(2));
    assert_eq!(peer.heard(), "");
    peer.passes(Duration::from_secs(1));
    assert!(peer.heard().contains("Action: Ping"));
    peer.passes(Duration::from_secs(3));
    assert_eq!(
        peer.outputs(),
        [Output::Closed(CloseReason::Silent(Duration::from_secs(6)))]
    );
}

#[test]
fn an_answered_ping_keeps_the_link() {
    let mut peer = Peer::ready();
    for _ in 0..20 {
        peer.passes(Duration::from_secs(3));
        let ping = peer.heard();
        peer.answers(
            &ping,
            "Response: Success\nActionID: x1\nPing: Pong\nTimestamp: 1795359601.1\n\n",
        );
    }
    assert_eq!(peer.outputs(), []);
}

#[test]
fn both_contact_lists_name_the_same_contacts() {
    let mut peer = Peer::ready();
    let mut contacts = Vec::new();
    for (action, text) in [
        (Action::show_contacts(), capture("contacts")),
        (
            Action::show_inbound_contact_statuses(),
            capture("inbound_contact_statuses"),
        ),
    ] {
        let Ok(Listing::Items(items)) = peer.list(action, &text) else {
            panic!("no list")
        };
        let of_list: Vec<_> = items
            .into_iter()
            .map(|event| match event.kind {
                EventKind::Contact(contact) => contact,
                other => panic!("{other:?}"),
            })
            .collect();
        contacts.push(of_list);
    }
    let first = &contacts[0][0];
    assert_eq!(first.id.as_str(), "1001;@fdcb0da3e00471fbd053abeab6f8ec13");
    assert_eq!(
        (first.aor.as_str(), first.endpoint.as_str()),
        ("1001", "1001")
    );
    assert_eq!(first.uri, "sip:1001-0x55a48b3842f0@127.0.0.1:25101");
    assert_eq!(first.user_agent, "baresip v1.0.0 (x86_64/linux)");
    assert_eq!(first.expires_at, Some(1_795_359_199));
    assert_eq!(first.status, ContactStatus::Reachable);
    assert_eq!(first.round_trip, Some(Duration::from_micros(692)));
    assert_eq!(first.reg_server.as_deref(), Some("lab1"));
    assert_eq!(contacts[0][1].status, ContactStatus::NonQualified);
    assert_eq!(contacts[0][1].round_trip, None);
    let without_server = |list: &[rollcall_ami::Contact]| {
        list.iter()
            .cloned()
            .map(|contact| rollcall_ami::Contact {
                reg_server: None,
                ..contact
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(without_server(&contacts[0]), contacts[1]);
}

#[test]
fn no_contacts_found_is_neither_a_list_nor_a_refusal() {
    let mut peer = Peer::ready();
    let message = "No Contacts found".to_owned();
    assert_eq!(
        peer.list(Action::show_contacts(), &capture("no_contacts")),
        Ok(Listing::NoneFound { message })
    );
}

#[test]
fn a_refused_list_is_a_refusal() {
    let mut peer = Peer::ready();
    let refused = peer.list(
        Action::show_contacts(),
        "Response: Error\nActionID: x1\nMessage: Permission denied\n\n",
    );
    assert_eq!(
        refused,
        Err(ActionError::Refused {
            message: "Permission denied".into()
        })
    );
}

#[test]
fn a_list_that_lost_an_item_is_incomplete() {
    let mut peer = Peer::ready();
    let text = capture("device_states").replace(
        "Event: DeviceStateChange\nActionID: x1\nDevice: PJSIP/1002\nState: NOT_INUSE\n\n",
        "",
    );
    let outcome = peer.list(Action::device_state_list(), &text);
    assert_eq!(
        outcome,
        Err(ActionError::Incomplete {
            declared: 4,
            received: 3
        })
    );
}

#[test]
fn a_list_that_never_ends_times_out_and_its_late_end_is_ignored() {
    let mut peer = Peer::ready();
    let text = capture("device_states");
    let (head, tail) = text.split_at(text.find("Event: DeviceStateListComplete").unwrap());
    peer.ask_list(Action::device_state_list());
    let asked = peer.heard();
    peer.answers(&asked, head);
    peer.passes_talking(Duration::from_secs(10));
    let timed_out =
        |output: &&Output| matches!(output, Output::Listed(_, Err(ActionError::TimedOut)));
    assert_eq!(peer.outputs().iter().filter(timed_out).count(), 1);
    peer.answers(&asked, tail);
    assert!(
        !peer
            .outputs()
            .iter()
            .any(|output| matches!(output, Output::Listed(..) | Output::Closed(_)))
    );
}

#[test]
fn device_states_channels_and_queue_members_are_typed() {
    let mut peer = Peer::ready();
    let devices = kinds(peer.list(Action::device_state_list(), &capture("device_states")));
    let states: Vec<_> = devices
        .iter()
        .map(|kind| match kind {
            EventKind::DeviceStateChange(change) => (change.endpoint(), change.state.clone()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(states[0], (None, DeviceState::InUse));
    assert_eq!(states[1], (Some("1001"), DeviceState::NotInUse));

    let channels = kinds(peer.list(Action::show_channels(), &capture("channels")));
    let EventKind::CoreShowChannel(shown) = &channels[0] else {
        panic!("{channels:?}")
    };
    assert_eq!(
        (shown.channel.endpoint(), shown.channel.state),
        (Some("1002"), 6)
    );
    assert_eq!(
        shown.bridge.as_deref(),
        Some("75f3c0dd-5e26-430c-8ae7-d47d38dab5cf")
    );

    let queue = kinds(peer.list(Action::queue_status(), &capture("queue_status")));
    let EventKind::QueueMember(member) = &queue[2] else {
        panic!("{queue:?}")
    };
    assert_eq!(
        (
            member.interface.as_str(),
            member.paused,
            member.paused_reason.as_str()
        ),
        ("PJSIP/1003", true, "lunch")
    );
}

#[test]
fn a_lost_connection_fails_everything_that_was_asked() {
    let mut peer = Peer::ready();
    peer.ask_list(Action::show_contacts());
    peer.ask(Action::qualify("1001").unwrap());
    peer.disconnects();
    let outputs = peer.outputs();
    assert!(matches!(
        outputs.as_slice(),
        [
            Output::Listed(_, Err(ActionError::Lost)),
            Output::Answered(_, Err(ActionError::Lost)),
            Output::Closed(CloseReason::ByPeer)
        ]
    ));
    peer.ask(Action::ping());
    assert!(matches!(
        peer.outputs().as_slice(),
        [Output::Answered(_, Err(ActionError::NotConnected))]
    ));
}

#[test]
fn an_event_that_has_a_response_header_is_an_event() {
    let mut peer = Peer::ready();
    peer.says(&capture("wrong_password"));
    let outputs = peer.outputs();
    let [Output::Event(event)] = outputs.as_slice() else {
        panic!("{outputs:?}")
    };
    assert!(
        matches!(&event.kind, EventKind::Other(packet) if packet.get("AccountID") == Some("1003"))
    );
}

#[test]
fn another_clients_action_id_is_never_taken_for_ours() {
    let mut peer = Peer::ready();
    peer.ask_list(Action::device_state_list());
    let asked = peer.heard();
    let text = capture("device_states");
    let (head, tail) = text.split_at(text.find("Event: DeviceStateListComplete").unwrap());
    peer.answers(&asked, head);
    peer.says("Event: UserEvent\nPrivilege: user,all\nUserEvent: MARK\nActionID: x1\nEventList: Complete\n\n");
    peer.answers(&asked, tail);
    let outputs = peer.outputs();
    assert!(
        matches!(outputs.as_slice(), [Output::Event(_), Output::Listed(_, Ok(Listing::Items(items)))] if items.len() == 4)
    );
}

#[test]
fn the_captured_reachability_of_a_contact_reads_as_it_happened() {
    let mut peer = Peer::ready();
    peer.says(&capture("reachability"));
    let statuses: Vec<_> = peer
        .outputs()
        .into_iter()
        .filter_map(|output| match output {
            Output::Event(event) => match event.kind {
                EventKind::ContactStatus(change) => {
                    Some((change.status, change.round_trip.is_some()))
                }
                _ => None,
            },
            _ => None,
        })
        .collect();
    assert_eq!(
        statuses,
        [
            (ContactStatus::NonQualified, false),
            (ContactStatus::Reachable, true),
            (ContactStatus::Unreachable, false),
            (ContactStatus::Reachable, true),
            (ContactStatus::Removed, false),
        ]
    );
}

#[test]
fn the_captured_call_reads_as_it_happened() {
    let mut peer = Peer::ready();
    peer.says(&capture("call"));
    let mut told = Vec::new();
    for output in peer.outputs() {
        let Output::Event(event) = output else {
            panic!("{output:?}")
        };
        assert_eq!(event.system_name.as_deref(), Some("lab1"));
        assert!(event.timestamp.is_some());
        match event.kind {
            EventKind::Newchannel(channel) => {
                told.push(format!("new {} {}", channel.device(), channel.state))
            }
            EventKind::Newstate(channel) => {
                told.push(format!("state {} {}", channel.device(), channel.state))
            }
            EventKind::DialBegin(dial) => told.push(format!("dial {}", dial.to.device())),
            EventKind::DialEnd(dial) => told.push(format!("dialled {}", dial.status.unwrap())),
            EventKind::BridgeEnter(bridge, channel) => {
                told.push(format!("enter {} {}", channel.device(), bridge.channels))
            }
            EventKind::Hangup(hangup) => told.push(format!(
                "hangup {} {}",
                hangup.channel.device(),
                hangup.cause
            )),
            _ => {}
        }
    }
    assert_eq!(
        told,
        [
            "new PJSIP/1001 4",
            "new PJSIP/1003 0",
            "dial PJSIP/1003",
            "state PJSIP/1003 5",
            "state PJSIP/1003 6",
            "dialled ANSWER",
            "state PJSIP/1001 6",
            "enter PJSIP/1003 1",
            "enter PJSIP/1001 2",
            "hangup PJSIP/1001 16",
            "hangup PJSIP/1003 16",
        ]
    );
}
