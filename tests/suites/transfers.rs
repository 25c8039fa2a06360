//! Hold, transfers and session timers with Asterisk 22 between the phones: what it shows of its channels and bridges is the judge.

use std::time::Duration;

use rollcall_e2e::asterisk::Settings;
use rollcall_e2e::phone::{Phone, Running};
use rollcall_e2e::waiting::PROMPTLY;
use rollcall_e2e::{Asterisk, eventually};
use serde_json::Value;

/// A dialplan that knows the dialogs of the calls to 1003 by their names: who calls 604 is handed on by REFER into the
/// caller's place, who calls 605 takes the caller's place by an INVITE with Replaces.
const TAKING_PLACES: &str = "\
[agents]
exten => 1003,1,Set(DB(calls/caller)=${CHANNEL(pjsip,call-id)}%3Bto-tag%3D${CHANNEL(pjsip,local_tag)}%3Bfrom-tag%3D${CHANNEL(pjsip,remote_tag)})
 same => n,Dial(PJSIP/1003,30,U(answered))
exten => 604,1,Answer()
 same => n,Transfer(PJSIP/sip:1003@${CHANNEL(pjsip,local_addr)}?Replaces=${DB(calls/caller)})
 same => n,Hangup()
exten => 605,1,Dial(PJSIP/1003,30,b(replacing^s^1))
[answered]
exten => s,1,Set(DB(calls/called)=${CHANNEL(pjsip,call-id)}\\;to-tag=${CHANNEL(pjsip,remote_tag)}\\;from-tag=${CHANNEL(pjsip,local_tag)})
 same => n,Return()
[replacing]
exten => s,1,Set(PJSIP_HEADER(add,Replaces)=${DB(calls/called)})
 same => n,Return()
";

/// Asterisk's channels with their bridges, one a line.
async fn channels(asterisk: &Asterisk) -> Vec<String> {
    let listed = asterisk.rx("core show channels concise").await;
    listed
        .lines()
        .filter(|line| line.contains('!'))
        .map(str::to_owned)
        .collect()
}

/// Waits until Asterisk has so many channels, of these extensions.
async fn has_channels(asterisk: &Asterisk, wanted: &[&str]) {
    eventually(&format!("channels of {wanted:?}"), PROMPTLY, async || {
        let mut own: Vec<String> = channels(asterisk)
            .await
            .iter()
            .filter_map(|line| {
                line.strip_prefix("PJSIP/")?
                    .split('-')
                    .next()
                    .map(str::to_owned)
            })
            .collect();
        own.sort();
        match own == wanted {
            true => Ok(()),
            false => Err(format!("{own:?}")),
        }
    })
    .await;
}

/// Two registered phones in a call with each other: who called, and who was called.
async fn talking(asterisk: &Asterisk) -> (Running, Running) {
    let called = Phone::of("1002", asterisk).answering().commanded().start();
    called.registered().await;
    let mut calling = Phone::of("1001", asterisk).commanded().start();
    calling.registered().await;
    calling.tell("dial 1002");
    calling.event("answered").await;
    called.event("answered").await;
    (calling, called)
}

/// Holds the call, asks 1003, and connects the two with each other; the call to 1003.
async fn connects_with_the_third(phone: &mut Running, first: &Value) -> Value {
    phone.tell("hold");
    phone.event("held").await;
    phone.tell("dial 1003");
    let answered = phone
        .event_where("answered", |event| event["call"] != *first)
        .await;
    let second = answered["call"].clone();
    phone.tell(&format!("connect {first} {second}"));
    second
}

#[tokio::test]
async fn we_hold_a_call_and_take_it_off_again() {
    let asterisk = Asterisk::start(Settings {
        pass_hold: true,
        ..Settings::default()
    })
    .await;
    let (mut calling, called) = talking(&asterisk).await;
    for held in [true, false] {
        calling.tell(if held { "hold" } else { "resume" });
        calling
            .event_where("held", |event| event["held"] == held)
            .await;
        called
            .event_where("held_by_other", |event| event["held"] == held)
            .await;
    }
    calling.tell("sing");
    let refused = calling.event("command_refused").await;
    assert_eq!(refused["command"], "sing");
    calling.tell("quit");
    called.event("ended").await;
}

#[tokio::test]
async fn we_hand_a_call_on_to_another_number() {
    let asterisk = Asterisk::start(Settings::default()).await;
    let (mut calling, mut called) = talking(&asterisk).await;
    calling.tell("transfer 600");
    let done = calling
        .event_where("transfer", |event| event["final"] == true)
        .await;
    assert_eq!(done["sip_code"], 200, "{done}");
    calling.event("ended").await;
    // The other phone talks to the echo now, and noticed nothing but new sound.
    has_channels(&asterisk, &["1002"]).await;
    assert_eq!(called.count("ended"), 0);
    called.tell("hangup");
    called.event("ended").await;
    has_channels(&asterisk, &[]).await;
}

#[tokio::test]
async fn we_connect_two_calls_with_each_other_and_leave() {
    let asterisk = Asterisk::start(Settings::default()).await;
    let third = Phone::of("1003", &asterisk).answering().commanded().start();
    third.registered().await;
    let (mut calling, called) = talking(&asterisk).await;
    let first = calling.event("answered").await["call"].clone();
    let second = connects_with_the_third(&mut calling, &first).await;
    let done = calling
        .event_where("transfer", |event| event["final"] == true)
        .await;
    assert_eq!(done["sip_code"], 200, "{done}");
    calling
        .event_where("ended", |event| event["call"] == first)
        .await;
    calling
        .event_where("ended", |event| event["call"] == second)
        .await;
    has_channels(&asterisk, &["1002", "1003"]).await;
    assert_eq!((called.count("ended"), third.count("ended")), (0, 0));
}

#[tokio::test]
async fn who_was_called_hands_the_caller_on_to_our_third_phone_with_or_without_asking_it() {
    for asks_first in [false, true] {
        let asterisk = Asterisk::start(Settings::default()).await;
        let third = Phone::of("1003", &asterisk).answering().commanded().start();
        third.registered().await;
        let (calling, mut called) = talking(&asterisk).await;
        let first = called.event("answered").await["call"].clone();
        if asks_first {
            connects_with_the_third(&mut called, &first).await;
        } else {
            called.tell("transfer 1003");
        }
        let done = called
            .event_where("transfer", |event| event["final"] == true)
            .await;
        assert_eq!(done["sip_code"], 200, "{done}");
        called
            .event_where("ended", |event| event["call"] == first)
            .await;
        // Who was handed on and who was given the call noticed nothing but a call.
        has_channels(&asterisk, &["1001", "1003"]).await;
        assert_eq!((calling.count("ended"), third.count("ended")), (0, 0));
        assert_eq!(third.count("answered"), 1);
    }
}

#[tokio::test]
async fn a_transfer_to_nobody_fails_and_the_call_goes_on() {
    let asterisk = Asterisk::start(Settings::default()).await;
    let (mut calling, called) = talking(&asterisk).await;
    calling.tell("transfer 999");
    let failed = calling
        .event_where("transfer", |event| event["final"] == true)
        .await;
    assert!(failed["sip_code"].as_u64() >= Some(300), "{failed}");
    assert_eq!((calling.count("ended"), called.count("ended")), (0, 0));
    has_channels(&asterisk, &["1001", "1002"]).await;
}

#[tokio::test]
async fn asterisk_hands_us_on_and_we_call_where_it_says() {
    let asterisk = Asterisk::start(Settings::default()).await;
    let mut phone = Phone::of("1001", &asterisk).commanded().start();
    phone.registered().await;
    phone.tell("dial 603");
    let referred = phone.event("referred").await;
    let (first, second) = (&referred["call"], &referred["new"]);
    phone
        .event_where("answered", |event| event["call"] == *second)
        .await;
    let ended = phone
        .event_where("ended", |event| event["call"] == *first)
        .await;
    assert_eq!(ended["reason"], "remote", "{ended}");
    has_channels(&asterisk, &["1001"]).await;
    phone.tell("hangup");
    has_channels(&asterisk, &[]).await;
}

/// 1002 in a call with 1003, which answers nothing by itself, and 1001 that may take a place in it.
async fn talking_beside_a_third(asterisk: &Asterisk) -> [Running; 3] {
    let phone = |extension| Phone::of(extension, asterisk).commanded().start();
    let [third, mut calling, mut called] = ["1001", "1002", "1003"].map(phone);
    for phone in [&third, &calling, &called] {
        phone.registered().await;
    }
    calling.tell("dial 1003");
    called.event("incoming").await;
    called.tell("answer");
    calling.event("answered").await;
    eventually("the dialplan knows the call", PROMPTLY, async || {
        let known = asterisk.rx("database show calls").await;
        match known.matches("-tag").count() {
            4 => Ok(()),
            _ => Err(known),
        }
    })
    .await;
    [third, calling, called]
}

fn taking_places() -> Settings {
    Settings {
        files: vec![("extensions.conf".to_owned(), TAKING_PLACES.to_owned())],
        ..Settings::default()
    }
}

#[tokio::test]
async fn asterisk_hands_us_on_into_the_place_of_another_and_we_take_it() {
    let asterisk = Asterisk::start(taking_places()).await;
    let [mut third, calling, mut called] = talking_beside_a_third(&asterisk).await;
    third.tell("dial 604");
    let referred = third.event("referred").await;
    let (first, second) = (&referred["call"], &referred["new"]);
    third
        .event_where("answered", |event| event["call"] == *second)
        .await;
    // The dialplan hangs up on whom it has handed on, and Asterisk on whose place is taken.
    for (phone, call) in [(&third, first), (&calling, &1.into())] {
        let ended = phone.event("ended").await;
        assert_eq!((&ended["call"], &ended["reason"]), (call, &"remote".into()));
    }
    has_channels(&asterisk, &["1001", "1003"]).await;
    assert_eq!((called.count("incoming"), called.count("ended")), (1, 0));
    called.tell("hangup");
    third
        .event_where("ended", |event| event["call"] == *second)
        .await;
    has_channels(&asterisk, &[]).await;
}

#[tokio::test]
async fn whoever_asterisk_puts_in_the_place_of_our_caller_is_answered_at_once() {
    let asterisk = Asterisk::start(taking_places()).await;
    let [mut third, calling, called] = talking_beside_a_third(&asterisk).await;
    let first = called.event("answered").await["call"].clone();
    third.tell("dial 605");
    third.event("answered").await;
    let ended = called.event("ended").await;
    assert_eq!(ended["call"], first, "{ended}");
    assert_eq!(ended["message"], "Somebody else took the call over.");
    calling.event("ended").await;
    // Nobody was asked to answer: 1003 talks to somebody else now.
    has_channels(&asterisk, &["1001", "1003"]).await;
    assert_eq!((called.count("answered"), called.count("ended")), (2, 1));
    third.tell("hangup");
    called
        .event_where("ended", |event| event["call"] != first)
        .await;
    has_channels(&asterisk, &[]).await;
}

#[tokio::test]
async fn a_session_interval_that_asterisk_finds_too_small_is_raised() {
    let asterisk = Asterisk::start(Settings {
        endpoint: "timers = required\ntimers_min_se = 3600\ntimers_sess_expires = 3600".to_owned(),
        ..Settings::default()
    })
    .await;
    asterisk.rx("pjsip set logger on").await;
    let (mut calling, called) = talking(&asterisk).await;
    calling.tell("hangup");
    called.event("ended").await;
    let said = asterisk.whole_log();
    assert!(said.contains("SIP/2.0 422 "), "it had to be asked for");
    // Asked for and granted, on the way to Asterisk and from it.
    let agreed = said.matches("Session-Expires: 3600").count();
    assert!(agreed >= 4, "{agreed}");
}

#[tokio::test]
async fn a_session_is_refreshed_at_half_its_time_and_the_call_goes_on() {
    // The shortest that RFC 4028 allows: 90 s.
    let asterisk = Asterisk::start(Settings {
        endpoint: "timers = always\ntimers_min_se = 90\ntimers_sess_expires = 90".to_owned(),
        ..Settings::default()
    })
    .await;
    let (mut calling, called) = talking(&asterisk).await;
    // From now on nobody asks for anything, and what is said inside a call refreshes it.
    asterisk.rx("pjsip set logger on").await;
    let before_the_end = Duration::from_secs(80);
    eventually("a session is refreshed", before_the_end, async || {
        let said = asterisk.whole_log();
        // Asked for, and granted.
        match said.matches("Session-Expires: 90").count() {
            2.. => Ok(()),
            few => Err(format!("{few} of 2")),
        }
    })
    .await;
    assert_eq!((calling.count("ended"), called.count("ended")), (0, 0));
    has_channels(&asterisk, &["1001", "1002"]).await;
    calling.tell("hangup");
    let ended = called.event("ended").await;
    assert_eq!(ended["reason"], "remote", "{ended}");
}
