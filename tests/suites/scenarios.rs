//! SIPp plays what goes wrong between two phones, by scenarios of our own in `tests/sipp`; it stands where the phone's
//! registrar was.

use std::net::SocketAddr;
use std::time::Duration;

use rollcall_e2e::phone::{Phone, Running};
use rollcall_e2e::sipp::Sipp;
use rollcall_e2e::{FarEnd, Program};

/// Longer than any scenario plays.
const PATIENCE: Duration = Duration::from_secs(40);

/// A registered phone, and SIPp in its registrar's place.
async fn meeting(phone: impl FnOnce(Phone) -> Phone) -> (Running, Sipp) {
    let registrar = FarEnd::listen();
    let address: SocketAddr = registrar.address();
    let phone = phone(Phone::at("1001", &address.to_string(), "secret"))
        .commanded()
        .start();
    let us = registrar.registered();
    phone.registered().await;
    drop(registrar);
    let sipp = Sipp::new(address, us.address, &us.contact);
    (phone, sipp)
}

async fn has_played(mut sipp: Program) {
    let status = sipp.ended(PATIENCE).await;
    assert!(status.success(), "{status}\n{sipp:?}");
}

/// Our phone calls, SIPp plays, our phone hangs up once it is answered.
async fn we_call(scenario: &str, options: &[&str]) -> Running {
    let (mut phone, sipp) = meeting(|phone| phone).await;
    let playing = sipp.play(scenario, options).await;
    phone.tell("dial 600");
    phone.event("answered").await;
    phone.tell("hangup");
    has_played(playing).await;
    phone.event("ended").await;
    assert_eq!((phone.count("answered"), phone.count("ended")), (1, 1));
    phone
}

#[tokio::test]
async fn a_nonce_that_has_aged_is_answered_anew() {
    we_call("stale_nonce", &[]).await;
}

#[tokio::test]
async fn a_redirected_call_arrives_at_the_other_address() {
    let phone = we_call("redirect", &[]).await;
    let moved = phone.event("redirected").await;
    let target = moved["target"].as_str().unwrap_or_default();
    assert!(target.starts_with("sip:601@"), "{moved}");
}

#[tokio::test]
async fn the_second_branch_that_answers_is_acknowledged_and_ended() {
    let (mut phone, sipp) = meeting(|phone| phone).await;
    let playing = sipp.play("forked_2xx", &[]).await;
    phone.tell("dial 600");
    has_played(playing).await;
    let ended = phone.event("ended").await;
    assert_eq!(ended["reason"], "remote", "{ended}");
    assert_eq!((phone.count("answered"), phone.count("ended")), (1, 1));
}

#[tokio::test]
async fn a_200_that_comes_again_is_acknowledged_again() {
    // Without its own memory for copies, which would hide the second ACK from the scenario.
    we_call("lost_ack", &["-nr"]).await;
}

#[tokio::test]
async fn reliable_provisional_answers_are_acknowledged_and_carry_the_sound() {
    let phone = we_call("reliable_provisional", &[]).await;
    assert_eq!(phone.count("early_media"), 1);
}

#[tokio::test]
async fn a_200_that_was_lost_comes_again() {
    let (phone, sipp) = meeting(Phone::answering).await;
    has_played(sipp.play("lost_200", &["-nr"]).await).await;
    phone.event("ended").await;
    assert_eq!((phone.count("answered"), phone.count("ended")), (1, 1));
}

#[tokio::test]
async fn a_late_ack_is_soon_enough() {
    let (phone, sipp) = meeting(Phone::answering).await;
    has_played(sipp.play("late_ack", &[]).await).await;
    let ended = phone.event("ended").await;
    assert_eq!(ended["reason"], "remote", "{ended}");
}

#[tokio::test]
async fn a_call_whose_ack_never_comes_is_ended_by_bye() {
    let timed = |phone: Phone| phone.answering().timed_by(Duration::from_millis(30));
    let (phone, sipp) = meeting(timed).await;
    has_played(sipp.play("no_ack", &[]).await).await;
    let ended = phone.event("ended").await;
    assert_eq!(ended["reason"], "timed_out", "{ended}");
}

#[tokio::test]
async fn when_both_change_the_call_at_once_the_phone_asks_again() {
    let (mut phone, sipp) = meeting(Phone::answering).await;
    let playing = sipp.play("glare", &[]).await;
    phone.event("answered").await;
    phone.tell("hold");
    has_played(playing).await;
    let held = phone.event("held").await;
    assert_eq!(held["held"], true, "{held}");
    assert_eq!(phone.count("refused"), 0);
}
