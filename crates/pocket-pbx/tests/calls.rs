//! Calls through the pocket PBX, and what managers hear of them.

mod common;

use std::time::Duration;

use common::{Site, address, config, line};
use rollcall_ami::Packet;
use rollcall_media::codec::Codec;
use rollcall_sip::{EndReason, Event};

const SECOND: Duration = Duration::from_secs(1);

/// Two registered phones, nothing told yet.
fn site_of_two() -> (Site, usize, usize) {
    let mut site = Site::new(config());
    let (caller, callee) = (site.registered_phone("1001"), site.registered_phone("1002"));
    site.story();
    (site, caller, callee)
}

#[test]
fn the_echo_number_answers_with_the_first_codec_offered_and_aims_back() {
    for (offered, first) in [
        (vec![Codec::Pcmu, Codec::Opus], Codec::Pcmu),
        (vec![Codec::Opus, Codec::Pcmu], Codec::Opus),
    ] {
        let (mut site, caller, _) = site_of_two();
        let call = site.dial(caller, "600", &offered);
        site.run(SECOND);
        assert_eq!(site.answered_codec(caller, &offered), Some(first));
        let aim = site.aims.values().next().unwrap();
        assert_eq!(aim.remote, address(30_000));
        assert_eq!(aim.receive_payload_type, aim.send_payload_type);
        assert!(aim.sends);
        let (ua, now) = site.ua(caller);
        ua.hangup(now, call);
        site.run(SECOND);
        assert!(site.open_media.is_empty());
        assert_eq!(
            site.story(),
            [
                "Newchannel 1001 Ring",
                "Newstate 1001 Up",
                "DeviceStateChange 1001 INUSE",
                "ExtensionStatus 1001 1 InUse",
                "HangupRequest 1001",
                "Hangup 1001 0",
                "DeviceStateChange 1001 NOT_INUSE",
                "ExtensionStatus 1001 0 Idle",
            ]
        );
    }
}

#[test]
fn a_call_from_person_to_person_is_told_as_asterisk_tells_it() {
    let (mut site, caller, callee) = site_of_two();
    let call = site.dial(caller, "1002", &Codec::DEFAULT);
    site.run(SECOND);
    assert!(
        site.phones[caller]
            .events
            .iter()
            .any(|event| matches!(event, Event::Progress { code: 180, .. }))
    );
    site.answer(callee, &Codec::DEFAULT);
    site.run(SECOND);
    let (ua, now) = site.ua(caller);
    ua.hangup(now, call);
    site.run(SECOND);
    assert_eq!(site.end_reason(callee), Some(&EndReason::Remote));

    // Real Asterisk told of a call from 1001 to 1003 that the caller ended; channel events keep their order there.
    let capture = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../ami/tests/captures/call.txt"
    );
    let asterisk: Vec<String> = packets(&std::fs::read_to_string(capture).unwrap())
        .iter()
        .filter_map(line)
        .collect();
    let asterisk: Vec<String> = asterisk
        .iter()
        .map(|line| line.replace("1003", "1002"))
        .collect();
    let ours = site.story();
    let of_channels = |story: &[String]| {
        story
            .iter()
            .filter(|line| !is_state(line))
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(of_channels(&ours), of_channels(&asterisk));
    for device in ["1001", "1002"] {
        let of_device = |story: &[String]| {
            let of =
                |line: &&String| line.starts_with("DeviceStateChange") && line.contains(device);
            story.iter().filter(of).cloned().collect::<Vec<_>>()
        };
        assert_eq!(of_device(&ours), of_device(&asterisk));
    }
}

fn is_state(line: &str) -> bool {
    line.starts_with("DeviceStateChange") || line.starts_with("ExtensionStatus")
}

fn packets(text: &str) -> Vec<Packet> {
    let packet = |block: &str| {
        block
            .lines()
            .filter_map(|line| line.split_once(':'))
            .fold(Packet::new(), |packet, (key, value)| {
                packet.with(key, value.trim())
            })
    };
    text.split("\n\n")
        .filter(|block| !block.is_empty())
        .map(packet)
        .collect()
}

#[test]
fn both_sides_speak_the_codec_that_the_callee_chose() {
    let (mut site, caller, callee) = site_of_two();
    site.dial(caller, "1002", &[Codec::Opus, Codec::Pcmu]);
    site.run(SECOND);
    site.answer(callee, &[Codec::Pcmu]);
    site.run(SECOND);
    assert_eq!(
        site.answered_codec(caller, &Codec::DEFAULT),
        Some(Codec::Pcmu)
    );
    let aims: Vec<_> = site
        .aims
        .values()
        .map(|aim| (aim.remote, aim.send_payload_type))
        .collect();
    assert_eq!(aims, [(address(30_000), 0), (address(30_001), 0)]);
}

#[test]
fn the_callee_is_offered_only_what_the_caller_can_speak() {
    let (mut site, caller, callee) = site_of_two();
    site.dial(caller, "1002", &[Codec::Pcmu]);
    site.run(SECOND);
    let (_, offer) = site.incoming(callee).unwrap();
    let offer = String::from_utf8(offer).unwrap();
    assert!(offer.contains("PCMU") && !offer.contains("opus"), "{offer}");
}

#[test]
fn the_callee_sees_who_calls() {
    let (mut site, caller, callee) = site_of_two();
    site.dial(caller, "1002", &Codec::DEFAULT);
    site.run(SECOND);
    let from = site.phones[callee]
        .events
        .iter()
        .find_map(|event| match event {
            Event::Incoming { request, .. } => {
                rollcall_sip::message::HeadersView::from_view(&request.headers).ok()
            }
            _ => None,
        });
    let from = from.unwrap();
    assert_eq!(
        (from.display.as_deref(), from.user()),
        (Some("Agent 1001"), "1001")
    );
}

#[test]
fn a_hang_up_by_the_callee_ends_the_call_for_the_caller() {
    let (mut site, caller, callee) = site_of_two();
    site.dial(caller, "1002", &Codec::DEFAULT);
    site.run(SECOND);
    let call = site.answer(callee, &Codec::DEFAULT);
    site.run(SECOND);
    site.story();
    let (ua, now) = site.ua(callee);
    ua.hangup(now, call);
    site.run(SECOND);
    assert_eq!(site.end_reason(caller), Some(&EndReason::Remote));
    assert!(site.open_media.is_empty());
    let story: Vec<_> = site
        .story()
        .into_iter()
        .filter(|line| !is_state(line))
        .collect();
    assert_eq!(
        story,
        [
            "HangupRequest 1002",
            "BridgeLeave 1002 1",
            "Hangup 1002 16",
            "BridgeLeave 1001 0",
            "BridgeDestroy 0",
            "Hangup 1001 16",
        ]
    );
}

#[test]
fn a_caller_who_gives_up_stops_the_ringing() {
    let (mut site, caller, callee) = site_of_two();
    let call = site.dial(caller, "1002", &Codec::DEFAULT);
    site.run(SECOND);
    let (ua, now) = site.ua(caller);
    ua.hangup(now, call);
    site.run(SECOND);
    assert_eq!(site.end_reason(callee), Some(&EndReason::Cancelled));
    assert!(site.open_media.is_empty());
    let story: Vec<_> = site
        .story()
        .into_iter()
        .filter(|line| !is_state(line))
        .collect();
    assert_eq!(
        story[5..],
        [
            "HangupRequest 1001",
            "DialEnd 1002 CANCEL",
            "Hangup 1002 127",
            "Hangup 1001 127"
        ]
    );
    assert_eq!(
        site.action("Action: CoreShowChannels\n")
            .last()
            .unwrap()
            .get("ListItems"),
        Some("0")
    );
}

#[test]
fn busy_and_declined_reach_the_caller_as_asterisk_passes_them_on() {
    for (code, passed_on, dialled, cause) in [
        (486, 486, "DialEnd 1002 BUSY", "Hangup 1001 17"),
        (603, 403, "DialEnd 1002 NOANSWER", "Hangup 1001 21"),
    ] {
        let (mut site, caller, callee) = site_of_two();
        site.dial(caller, "1002", &Codec::DEFAULT);
        site.run(SECOND);
        let (call, _) = site.incoming(callee).unwrap();
        let (ua, now) = site.ua(callee);
        ua.reject(now, call, code);
        site.run(SECOND);
        assert_eq!(site.refusal(caller), Some(passed_on));
        let story = site.story();
        assert!(story.contains(&dialled.to_owned()), "{story:?}");
        assert!(story.contains(&cause.to_owned()), "{story:?}");
        assert!(site.open_media.is_empty());
    }
}

#[test]
fn a_phone_that_nobody_answers_rings_for_its_time_and_no_longer() {
    let (mut site, caller, callee) = site_of_two();
    site.dial(caller, "1002", &Codec::DEFAULT);
    site.run(Duration::from_secs(29));
    assert_eq!(site.refusal(caller), None);
    site.run(Duration::from_secs(2));
    assert_eq!(site.refusal(caller), Some(480));
    assert_eq!(site.end_reason(callee), Some(&EndReason::Cancelled));
    assert!(site.story().contains(&"DialEnd 1002 NOANSWER".to_owned()));
}

#[test]
fn every_device_of_the_callee_rings_and_the_first_to_answer_has_the_call() {
    let mut site = Site::new(config());
    let caller = site.registered_phone("1001");
    let (desk, home) = (site.registered_phone("1002"), site.registered_phone("1002"));
    site.dial(caller, "1002", &Codec::DEFAULT);
    site.run(SECOND);
    assert!(site.incoming(desk).is_some() && site.incoming(home).is_some());
    site.answer(home, &Codec::DEFAULT);
    site.run(SECOND);
    assert_eq!(site.end_reason(desk), Some(&EndReason::Cancelled));
    assert_eq!(site.end_reason(home), None);
    assert!(site.answered_codec(caller, &Codec::DEFAULT).is_some());
    let aims: Vec<_> = site.aims.values().map(|aim| aim.remote).collect();
    assert_eq!(aims, [address(30_000), address(30_000 + home as u16)]);
}

#[test]
fn one_busy_device_does_not_stop_the_other_from_ringing() {
    let mut site = Site::new(config());
    let caller = site.registered_phone("1001");
    let (desk, home) = (site.registered_phone("1002"), site.registered_phone("1002"));
    site.dial(caller, "1002", &Codec::DEFAULT);
    site.run(SECOND);
    let (call, _) = site.incoming(desk).unwrap();
    let (ua, now) = site.ua(desk);
    ua.reject(now, call, 486);
    site.run(SECOND);
    assert_eq!(site.refusal(caller), None);
    site.answer(home, &Codec::DEFAULT);
    site.run(SECOND);
    assert!(site.answered_codec(caller, &Codec::DEFAULT).is_some());
}

#[test]
fn a_call_to_somebody_who_is_not_there_is_refused_at_once() {
    let mut site = Site::new(config());
    let caller = site.registered_phone("1001");
    site.story();
    site.dial(caller, "1002", &Codec::DEFAULT);
    site.run(SECOND);
    assert_eq!(site.refusal(caller), Some(480));
    assert_eq!(site.story(), ["Newchannel 1001 Ring", "Hangup 1001 20"]);

    site.dial(caller, "4711", &Codec::DEFAULT);
    site.run(SECOND);
    assert_eq!(site.refusal(caller), Some(404));
    assert_eq!(
        site.story(),
        Vec::<String>::new(),
        "a number that does not exist makes no channel"
    );
}

#[test]
fn a_stranger_cannot_call() {
    let mut site = Site::new(config());
    let callee = site.registered_phone("1002");
    let stranger = site.phone("4711");
    site.dial(stranger, "1002", &Codec::DEFAULT);
    site.run(SECOND);
    assert_eq!(site.refusal(stranger), Some(401));
    assert!(site.incoming(callee).is_none());
}

#[test]
fn a_call_without_rtp_sockets_is_refused_and_leaves_nothing() {
    let (mut site, caller, _) = site_of_two();
    site.media_fails = true;
    site.dial(caller, "600", &Codec::DEFAULT);
    site.run(SECOND);
    assert_eq!(site.refusal(caller), Some(503));
    assert_eq!(
        site.action("Action: CoreShowChannels\n")
            .last()
            .unwrap()
            .get("ListItems"),
        Some("0")
    );
}

#[test]
fn a_manager_sees_the_call_and_can_end_it() {
    let (mut site, caller, callee) = site_of_two();
    site.dial(caller, "1002", &Codec::DEFAULT);
    site.run(SECOND);
    site.answer(callee, &Codec::DEFAULT);
    site.run(SECOND);
    let shown = site.action("Action: CoreShowChannels\n");
    assert_eq!(shown.len(), 4);
    let bridge = shown[1].get("BridgeId").unwrap();
    assert!(!bridge.is_empty());
    assert_eq!(shown[2].get("BridgeId"), Some(bridge));
    assert_eq!(shown[1].get("Linkedid"), shown[2].get("Linkedid"));
    let states = site.action("Action: DeviceStateList\n");
    let states: Vec<_> = states
        .iter()
        .filter_map(|packet| packet.get("State"))
        .collect();
    assert_eq!(states, ["INUSE", "INUSE", "UNAVAILABLE"]);

    let name = shown[2].get("Channel").unwrap().to_owned();
    let answer = site.action(&format!("Action: Hangup\nChannel: {name}\n"));
    assert_eq!(answer[0].get("Response"), Some("Success"));
    site.run(SECOND);
    assert_eq!(site.end_reason(caller), Some(&EndReason::Remote));
    assert_eq!(site.end_reason(callee), Some(&EndReason::Remote));
}

#[test]
fn calls_survive_a_bad_network_and_leave_nothing_behind() {
    let bad = rollcall_testkit::Conditions {
        delay: Duration::from_millis(2)..=Duration::from_millis(60),
        loss: 0.1,
        duplication: 0.05,
        reordering: 0.1,
    };
    let mut site = Site::new(config());
    let (caller, callee) = (site.registered_phone("1001"), site.registered_phone("1002"));
    site.network.set_conditions(bad);
    for _ in 0..20 {
        let call = site.dial(caller, "1002", &Codec::DEFAULT);
        site.phones[callee].events.clear();
        site.phones[caller].events.clear();
        site.run(Duration::from_secs(8));
        site.answer(callee, &Codec::DEFAULT);
        site.run(Duration::from_secs(8));
        assert!(site.answered_codec(caller, &Codec::DEFAULT).is_some());
        let (ua, now) = site.ua(caller);
        ua.hangup(now, call);
        site.run(Duration::from_secs(16));
    }
    site.run(Duration::from_secs(40));
    assert!(site.open_media.is_empty());
    assert_eq!(
        site.action("Action: CoreShowChannels\n")
            .last()
            .unwrap()
            .get("ListItems"),
        Some("0")
    );
}
