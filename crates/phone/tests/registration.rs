//! The engine and its registrar: what a person is told when it works and when it does not.

mod common;

use std::net::UdpSocket;
use std::time::Duration;

use common::{Exchange, Order, Phone, config};
use rollcall_phone::{AudioChoice, FailureCode, PhoneCommand, PhoneEvent};

async fn failure(phone: &mut Phone) -> (FailureCode, Option<Duration>) {
    phone
        .expect(|event| match event {
            PhoneEvent::RegistrationFailed {
                code,
                message,
                next,
                retry_in,
            } => {
                assert!(
                    message.ends_with('.') && next.ends_with('.'),
                    "sentences for a person: {message} {next}"
                );
                assert!(!message.contains("secret"), "{message}");
                Some((*code, *retry_in))
            }
            _ => None,
        })
        .await
}

#[tokio::test]
async fn a_phone_registers_with_a_contact_of_its_own_and_takes_it_away_again() {
    let exchange = Exchange::start();
    let mut phone = Phone::start(config(AudioChoice::None));
    phone.register("1001", &exchange.address.to_string());
    let (contact, registrar) = phone
        .expect(|event| match event {
            PhoneEvent::Registered {
                contact, registrar, ..
            } => Some((contact.clone(), registrar.clone())),
            _ => None,
        })
        .await;
    assert!(contact.starts_with("sip:1001-"), "{contact}");
    assert_eq!(registrar, exchange.address.to_string());
    let names = phone
        .told
        .iter()
        .filter(|event| **event == PhoneEvent::Registering)
        .count();
    assert_eq!(names, 1);
    phone.engine.send(PhoneCommand::Unregister);
    phone
        .expect(|event| (*event == PhoneEvent::Unregistered).then_some(()))
        .await;
    phone.engine.send(PhoneCommand::Shutdown);
    phone
        .expect(|event| (*event == PhoneEvent::Stopped).then_some(()))
        .await;
}

#[tokio::test]
async fn a_wrong_password_is_its_own_failure() {
    let exchange = Exchange::start();
    let mut phone = Phone::start(config(AudioChoice::None));
    phone.register_with("1001", &exchange.address.to_string(), "secret-but-wrong");
    let (code, retry_in) = failure(&mut phone).await;
    assert_eq!(code, FailureCode::WrongCredentials);
    assert!(retry_in.is_some_and(|wait| wait >= Duration::from_secs(30)));
}

#[tokio::test]
async fn a_registrar_that_is_away_is_its_own_failure_and_tried_again() {
    let closed = UdpSocket::bind("127.0.0.1:0")
        .expect("a socket")
        .local_addr()
        .expect("an address");
    let mut phone = Phone::start(config(AudioChoice::None));
    phone.register("1001", &closed.to_string());
    let (code, retry_in) = failure(&mut phone).await;
    assert_eq!(code, FailureCode::RegistrarUnreachable);
    assert!(retry_in.is_some());
    phone
        .expect(|event| (*event == PhoneEvent::Registering).then_some(()))
        .await;
}

/// Timers that run for longer than a test waits: only the network itself can say sooner that nobody is there.
#[cfg(target_os = "linux")]
fn patient() -> rollcall_phone::EngineConfig {
    rollcall_phone::EngineConfig {
        sip_t1: Duration::from_secs(5),
        ..config(AudioChoice::None)
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_registrar_whose_port_is_closed_is_told_without_waiting_for_an_answer() {
    let closed = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let address = closed.local_addr().expect("an address");
    drop(closed);
    let mut phone = Phone::start(patient());
    phone.register("1001", &address.to_string());
    let (code, retry_in) = failure(&mut phone).await;
    assert_eq!(code, FailureCode::RegistrarUnreachable);
    assert!(retry_in <= Some(Duration::from_secs(4)), "{retry_in:?}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_call_to_a_server_that_is_gone_ends_without_waiting_for_an_answer() {
    let exchange = Exchange::start();
    let mut phone = Phone::registered("1001", &exchange, patient()).await;
    exchange.close();
    phone.dial("600");
    let end = phone.ended().await;
    assert_eq!(end.kind, rollcall_phone::EndKind::Failed, "{end:?}");
    assert!(end.message.ends_with('.'), "{end:?}");
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_its_own_failure() {
    let mut phone = Phone::start(config(AudioChoice::None));
    phone.register("1001", "no-such-host.invalid:5060");
    let (code, retry_in) = failure(&mut phone).await;
    assert_eq!(code, FailureCode::RegistrarNotFound);
    assert!(retry_in.is_some());
}

#[tokio::test]
async fn a_refusal_and_a_200_without_our_contact_are_failures_of_their_own() {
    for (order, expected) in [
        (Order::Refuse(403), FailureCode::RegistrarRefused),
        (Order::OmitContacts, FailureCode::ContactMissing),
    ] {
        let exchange = Exchange::start();
        exchange.order(order);
        let mut phone = Phone::start(config(AudioChoice::None));
        phone.register("1001", &exchange.address.to_string());
        assert_eq!(failure(&mut phone).await.0, expected);
        assert!(
            !phone
                .told
                .iter()
                .any(|event| matches!(event, PhoneEvent::Registered { .. }))
        );
    }
}

#[tokio::test]
async fn shutting_down_does_not_wait_for_a_silent_registrar() {
    let exchange = Exchange::start();
    let mut phone = Phone::registered("1001", &exchange, config(AudioChoice::None)).await;
    exchange.order(Order::FallSilent);
    phone.engine.send(PhoneCommand::Shutdown);
    phone
        .expect(|event| (*event == PhoneEvent::Stopped).then_some(()))
        .await;
}

#[tokio::test]
async fn vitals_come_from_both_loops() {
    let mut phone = Phone::start(config(AudioChoice::None));
    let mut ticks = Vec::new();
    phone
        .expect(|event| match event {
            PhoneEvent::Vitals(vitals) if vitals.microphone_ok => {
                // Far from the minute that a loop that stands still would show; a busy machine may be late.
                let limit = Duration::from_secs(5);
                assert!(
                    vitals.sip_loop_late < limit
                        && vitals.audio_loop_age < limit
                        && vitals.speaker_ok
                        && !vitals.registered
                        && vitals.calls == 0
                );
                ticks.push(vitals.tick);
                (ticks.len() == 3).then_some(())
            }
            _ => None,
        })
        .await;
    assert!(ticks.windows(2).all(|pair| pair[1] > pair[0]), "{ticks:?}");
}

#[tokio::test]
async fn a_phone_without_a_handle_stops() {
    let mut phone = Phone::start(config(AudioChoice::None));
    let (other, _) = rollcall_phone::Engine::start(config(AudioChoice::None)).expect("threads");
    drop(std::mem::replace(&mut phone.engine, other));
    phone
        .expect(|event| (*event == PhoneEvent::Stopped).then_some(()))
        .await;
}
