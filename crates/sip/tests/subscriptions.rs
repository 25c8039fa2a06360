//! Subscriptions (RFC 6665) to a notifier that the PBX's user agent plays.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{PBX, PHONE, World, address, name_addr};
use rollcall_sip::message::{HeadersView, Message, Method, Request, header, parse_uri};
use rollcall_sip::{Event, OutgoingRequest, Reply, SubscribeRequest, SubscriptionId, Transport};

const SECOND: Duration = Duration::from_secs(1);

fn subscribe(world: &mut World) -> SubscriptionId {
    let (phone, now) = world.ua(PHONE);
    let id = phone.subscribe(
        now,
        SubscribeRequest {
            target: parse_uri("sip:1001@127.0.0.1:5060").expect("a URI"),
            destination: address(5060),
            from: name_addr("<sip:1001@127.0.0.1:5060>"),
            package: "message-summary".into(),
            accept: "application/simple-message-summary".into(),
            expires: 600 * SECOND,
            credentials: None,
        },
    );
    world.drain();
    id
}

/// Answers every SUBSCRIBE that has come since, and returns the last.
fn serve(
    world: &mut World,
    seen: &mut usize,
    reply: impl Fn(&Request) -> Reply,
) -> Option<Request> {
    let mut last = None;
    while let Some((_, _, event)) = world.told.get(*seen).cloned() {
        *seen += 1;
        if let Event::Request { id, request, .. } = event {
            let reply = reply(&request);
            let (pbx, now) = world.ua(PBX);
            pbx.respond(now, id, reply);
            last = Some(*request);
        }
    }
    world.drain();
    last
}

fn accept(request: &Request) -> Reply {
    let expires = request.headers.text("Expires").unwrap_or_default();
    Reply::new(200)
        .with("Expires", expires)
        .with("Contact", "<sip:lamp@127.0.0.1:5060>")
}

/// A NOTIFY of the PBX in the dialog of this SUBSCRIBE, as far as tags go.
fn notify(world: &mut World, subscribe: &Request, number: u32, state: &str, body: &str) {
    let tag = world
        .sent(PBX)
        .into_iter()
        .rev()
        .find_map(|message| match message {
            Message::Response(response) => response.headers.to_view().ok()?.tag(),
            Message::Request(_) => None,
        });
    let field = |name| subscribe.headers.text(name).unwrap_or_default().to_owned();
    let to = subscribe.headers.to_view().expect("To");
    let from = match to.tag() {
        Some(_) => field("To"),
        None => to
            .with_tag(&tag.unwrap_or_else(|| "early".into()))
            .to_string(),
    };
    let text = format!(
        "NOTIFY sip:1001-aa-bb@127.0.0.1:5070 SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.1:5060;rport;branch=z9hG4bKn{number}\n\
         From: {from}\nTo: {}\nCall-ID: {}\nCSeq: {number} NOTIFY\nContact: <sip:lamp@127.0.0.1:5060>\n\
         Event: message-summary\nSubscription-State: {state}\nContent-Type: application/simple-message-summary\n\
         Content-Length: {}\n\n{body}",
        field("From"),
        field("Call-ID"),
        body.len(),
    );
    world.inject(address(5060), PHONE, &text);
}

fn news(world: &World) -> Vec<Bytes> {
    let told = world.told.iter().filter_map(|(_, _, event)| match event {
        Event::Notified { body, .. } => Some(body.clone()),
        _ => None,
    });
    told.collect()
}

fn last_line(world: &World) -> String {
    world.start_lines(PHONE).pop().unwrap_or_default()
}

#[test]
fn a_subscription_is_refreshed_for_a_day_told_of_and_ended() {
    let (mut world, mut seen) = (World::perfect(), 0);
    let id = subscribe(&mut world);
    world.run(SECOND);
    let first = serve(&mut world, &mut seen, accept).expect("a SUBSCRIBE");
    assert_eq!(first.headers.text("Event"), Some("message-summary"));
    world.run(SECOND);
    notify(
        &mut world,
        &first,
        1,
        "active;expires=599",
        "Messages-Waiting: yes",
    );
    assert_eq!(news(&world), ["Messages-Waiting: yes"]);
    assert_eq!(last_line(&world), "SIP/2.0 200 OK");
    let mut refreshes = 0;
    while world.clock.elapsed() < 86_400 * SECOND {
        world.run(10 * SECOND);
        let refresh = serve(&mut world, &mut seen, accept);
        if let Some(refresh) = refresh {
            refreshes += 1;
            assert_eq!(
                refresh.headers.text("Call-ID"),
                first.headers.text("Call-ID")
            );
        }
    }
    assert!((144..200).contains(&refreshes), "{refreshes} refreshes");
    let (phone, now) = world.ua(PHONE);
    phone.unsubscribe(now, id);
    world.run(SECOND);
    let last = serve(&mut world, &mut seen, accept).expect("a last SUBSCRIBE");
    assert_eq!(last.headers.text("Expires"), Some("0"));
    notify(&mut world, &first, 2, "terminated;reason=timeout", "");
    world.expect(PHONE, |event| match event {
        Event::Unsubscribed { code: None, .. } => Some(()),
        _ => None,
    });
    world.run(40 * SECOND);
    assert!(world.agents[PHONE].1.is_quiet());
}

#[test]
fn news_before_the_answer_is_taken_and_from_another_dialog_refused() {
    let (mut world, mut seen) = (World::perfect(), 0);
    subscribe(&mut world);
    world.run(SECOND);
    let sent = world
        .sent(PHONE)
        .into_iter()
        .find_map(|message| match message {
            Message::Request(request) if request.method == Method::Subscribe => Some(request),
            _ => None,
        });
    let sent = sent.expect("a SUBSCRIBE");
    notify(&mut world, &sent, 1, "active", "one");
    assert_eq!(news(&world), ["one"], "{}", world.log());
    serve(&mut world, &mut seen, |request| {
        accept(request).with("X", "y")
    });
    world.run(SECOND);
    // The answer's tag is another one: a second branch, which is not wanted.
    notify(&mut world, &sent, 2, "active", "two");
    assert_eq!(news(&world), ["one"]);
    assert!(
        last_line(&world).starts_with("SIP/2.0 481"),
        "{}",
        last_line(&world)
    );
}

#[test]
fn a_notifier_that_forgot_is_asked_anew_and_one_that_refuses_is_left() {
    let (mut world, mut seen) = (World::perfect(), 0);
    subscribe(&mut world);
    world.run(SECOND);
    let first = serve(&mut world, &mut seen, accept).expect("a SUBSCRIBE");
    world.run(600 * SECOND);
    serve(&mut world, &mut seen, |_| Reply::new(481)).expect("a refresh");
    world.run(10 * SECOND);
    let anew = serve(&mut world, &mut seen, accept).expect("a new SUBSCRIBE");
    assert_ne!(anew.headers.text("Call-ID"), first.headers.text("Call-ID"));
    world.run(600 * SECOND);
    serve(&mut world, &mut seen, |_| Reply::new(489)).expect("a refresh");
    let code = world.expect(PHONE, |event| match event {
        Event::Unsubscribed { code, .. } => Some(*code),
        _ => None,
    });
    assert_eq!(code, Some(489));
}

#[test]
fn voicemail_told_unasked_is_taken_and_other_unasked_news_is_not() {
    let mut world = World::perfect();
    for (package, code) in [("message-summary", 200), ("presence", 481)] {
        let (pbx, now) = world.ua(PBX);
        pbx.request(
            now,
            OutgoingRequest {
                method: Method::Notify,
                target: parse_uri("sip:1001-aa-bb@127.0.0.1:5070").expect("a URI"),
                destination: address(5070),
                from: name_addr("<sip:1001@127.0.0.1:5060>"),
                headers: vec![
                    header("Event", package),
                    header("Subscription-State", "active"),
                ],
                body: Bytes::from_static(b"Messages-Waiting: yes"),
            },
        );
        world.run(SECOND);
        assert!(last_line(&world).contains(&code.to_string()), "{package}");
    }
    assert_eq!(news(&world).len(), 1);
}

#[test]
fn after_a_move_the_subscription_begins_anew_from_the_new_address_at_the_new_registrar() {
    let mut world = World::perfect();
    let (phone, now) = world.ua(PHONE);
    phone.register(now, common::account("secret"));
    world.drain();
    subscribe(&mut world);
    let mut seen = 0;
    serve(&mut world, &mut seen, accept);
    world.run(SECOND);
    world.wire.clear();
    let (phone, now) = world.ua(PHONE);
    phone.relocate(now, Transport::Udp, address(5071), address(5061));
    phone.handle_timeout(now);
    let mut asked = Vec::new();
    while let Some(transmit) = phone.poll_transmit() {
        if let Ok(Message::Request(request)) = rollcall_sip::parse(&transmit.bytes)
            && request.method == Method::Subscribe
        {
            asked.push((transmit.destination, request));
        }
    }
    let [(destination, request)] = asked.as_slice() else {
        panic!("{asked:?}");
    };
    assert_eq!(*destination, address(5061));
    let contact = request.headers.text("Contact").unwrap_or_default();
    assert!(contact.contains(":5071"), "{contact}");
    let to = request.headers.to_view().expect("readable");
    assert_eq!(to.tag(), None, "a dialog of its own");
}
