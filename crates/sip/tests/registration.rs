//! Registering with a registrar that challenges, shortens, refuses and disappears.

mod common;

use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use common::{PBX, PHONE, Registrar, World, account, address, name_addr, registration};
use rollcall_sip::message::{HeadersView, Message, Method, parse_uri};
use rollcall_sip::{Account, EndReason, Event, Failure, RegistrationEvent};
use rollcall_testkit::Conditions;

const SECOND: Duration = Duration::from_secs(1);

fn told(world: &World) -> Vec<RegistrationEvent> {
    world
        .told
        .iter()
        .filter(|(who, _, _)| *who == PHONE)
        .filter_map(|(_, _, event)| registration(event))
        .collect()
}

fn run(world: &mut World, registrar: &mut Registrar, limit: Duration) {
    world.run_until(limit, |world| {
        registrar.serve(world);
        false
    });
}

fn register(world: &mut World, password: &str) {
    let (phone, now) = world.ua(PHONE);
    phone.register(now, account(password));
}

fn registers(world: &World) -> usize {
    world
        .start_lines(PHONE)
        .iter()
        .filter(|line| line.starts_with("REGISTER"))
        .count()
}

#[test]
fn a_challenge_is_answered_and_the_own_contact_found_by_its_user_part() {
    let mut world = World::perfect();
    let mut registrar = Registrar::new(&world);
    register(&mut world, "secret");
    run(&mut world, &mut registrar, SECOND);
    let expected = RegistrationEvent::Registered {
        contact: "sip:1001-aa-bb@127.0.0.1:5070".into(),
        expires: 300 * SECOND,
        registrar: address(5060),
    };
    assert_eq!(told(&world), [RegistrationEvent::Registering, expected]);
    assert_eq!(registrar.contact.as_deref(), Some("1001-aa-bb"));
    let answered = world
        .sent(PHONE)
        .into_iter()
        .filter_map(|message| match message {
            Message::Request(request) => request.headers.text("Authorization").map(str::to_owned),
            Message::Response(_) => None,
        });
    let answered: Vec<String> = answered.collect();
    assert!(
        answered[0].contains("algorithm=SHA-256"),
        "the stronger one is chosen: {answered:?}"
    );
    assert!(answered[0].contains("nc=00000001"), "{answered:?}");
}

#[test]
fn a_phone_registers_calls_and_is_hung_up_on_over_ipv6() {
    let mut world = World::at(Ipv6Addr::LOCALHOST.into(), 1, Conditions::default());
    let mut registrar = Registrar::new(&world);
    let there = SocketAddr::from((Ipv6Addr::LOCALHOST, 5060));
    let account = Account {
        aor: name_addr("<sip:1001@[::1]>"),
        registrar: parse_uri("sip:[::1]:5060").expect("a URI"),
        destination: there,
        ..account("secret")
    };
    let (phone, now) = world.ua(PHONE);
    phone.register(now, account);
    run(&mut world, &mut registrar, SECOND);
    let expected = RegistrationEvent::Registered {
        contact: "sip:1001-aa-bb@[::1]:5070".into(),
        expires: 300 * SECOND,
        registrar: there,
    };
    assert_eq!(told(&world), [RegistrationEvent::Registering, expected]);
    world.call(PHONE, "v=0 offer");
    let (theirs, invite) = world.expect_incoming(PBX);
    let via = invite.headers.text("Via").unwrap_or_default();
    assert!(via.contains("SIP/2.0/UDP [::1]:5070;"), "{via}");
    let (pbx, now) = world.ua(PBX);
    pbx.answer(now, theirs, Bytes::from_static(b"v=0 answer"));
    world.expect(PBX, |event| {
        matches!(event, Event::Confirmed { .. }).then_some(())
    });
    let (pbx, now) = world.ua(PBX);
    pbx.hangup(now, theirs);
    world.expect(PHONE, |event| {
        let reason = EndReason::Remote;
        matches!(event, Event::Ended { reason: own, .. } if *own == reason).then_some(())
    });
}

#[test]
fn a_refresh_that_is_asked_for_goes_out_at_once_with_the_same_contact() {
    let mut world = World::perfect();
    let mut registrar = Registrar::new(&world);
    let (phone, now) = world.ua(PHONE);
    assert!(!phone.refresh(now), "nothing is to be registered yet");
    register(&mut world, "secret");
    run(&mut world, &mut registrar, SECOND);
    let before = registers(&world);
    registrar.contact = None;
    let (phone, now) = world.ua(PHONE);
    assert!(phone.refresh(now));
    run(&mut world, &mut registrar, 2 * SECOND);
    assert!(registers(&world) > before);
    assert_eq!(registrar.contact.as_deref(), Some("1001-aa-bb"));
    let told_before = told(&world);
    let contacts: Vec<&str> = told_before
        .iter()
        .filter_map(|event| match event {
            RegistrationEvent::Registered { contact, .. } => Some(contact.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(contacts, ["sip:1001-aa-bb@127.0.0.1:5070"; 2]);

    let (phone, now) = world.ua(PHONE);
    phone.unregister(now);
    assert!(!phone.refresh(now), "it is leaving");
}

#[test]
fn a_200_without_our_contact_is_not_a_registration() {
    let mut world = World::perfect();
    let mut registrar = Registrar::new(&world);
    registrar.omit_contact = true;
    register(&mut world, "secret");
    run(&mut world, &mut registrar, Duration::from_millis(100));
    assert!(
        matches!(
            told(&world).last(),
            Some(RegistrationEvent::Failed {
                failure: Failure::ContactMissing,
                retry_in: Some(_)
            })
        ),
        "{:?}",
        told(&world)
    );
    // It mends itself as soon as the registrar does.
    registrar.omit_contact = false;
    run(&mut world, &mut registrar, 5 * SECOND);
    assert!(matches!(
        told(&world).last(),
        Some(RegistrationEvent::Registered { .. })
    ));
}

#[test]
fn a_wrong_password_is_told_as_such_and_not_hammered() {
    let mut world = World::perfect();
    let mut registrar = Registrar::new(&world);
    register(&mut world, "wrong");
    run(&mut world, &mut registrar, 25 * SECOND);
    assert!(matches!(
        told(&world).last(),
        Some(RegistrationEvent::Failed { failure: Failure::WrongCredentials, retry_in: Some(wait) }) if *wait >= 30 * SECOND
    ));
    assert_eq!(registers(&world), 2, "one plain, one with the answer");
}

#[test]
fn a_silent_registrar_times_out_and_is_tried_again_with_back_off() {
    let mut world = World::perfect();
    let mut registrar = Registrar::new(&world);
    world.network.cut(address(5060));
    register(&mut world, "secret");
    run(&mut world, &mut registrar, 200 * SECOND);
    let waits: Vec<Duration> = told(&world)
        .into_iter()
        .filter_map(|event| match event {
            RegistrationEvent::Failed {
                failure: Failure::TimedOut,
                retry_in,
            } => retry_in,
            _ => None,
        })
        .collect();
    assert!(waits.len() >= 4, "{waits:?}");
    for (attempt, wait) in waits.iter().enumerate() {
        let longest = SECOND * 2u32.pow(attempt.min(5) as u32);
        assert!(
            *wait <= longest && *wait >= longest / 2,
            "attempt {attempt}: {wait:?}"
        );
    }
    world.network.heal(address(5060));
    run(&mut world, &mut registrar, 60 * SECOND);
    assert!(matches!(
        told(&world).last(),
        Some(RegistrationEvent::Registered { .. })
    ));
}

#[test]
fn a_registration_is_refreshed_before_it_ends_for_a_whole_day() {
    let mut world = World::perfect();
    let mut registrar = Registrar::new(&world);
    registrar.expires = 120;
    register(&mut world, "secret");
    run(&mut world, &mut registrar, Duration::from_secs(86_400));
    let held: Vec<Duration> = world
        .told
        .iter()
        .filter(|(_, _, event)| {
            matches!(
                registration(event),
                Some(RegistrationEvent::Registered { .. })
            )
        })
        .map(|(_, at, _)| *at)
        .collect();
    assert!(
        held.windows(2).all(|pair| pair[1] - pair[0] < 92 * SECOND),
        "time is left for a lost REGISTER"
    );
    assert!(held.len() > 900, "{}", held.len());
    assert!(
        !told(&world)
            .iter()
            .any(|event| matches!(event, RegistrationEvent::Failed { .. }))
    );
    assert_eq!(
        told(&world)
            .iter()
            .filter(|event| **event == RegistrationEvent::Registering)
            .count(),
        1
    );
}

#[test]
fn an_interval_that_is_too_brief_is_lengthened_at_once() {
    let mut world = World::perfect();
    let mut registrar = Registrar::new(&world);
    registrar.min_expires = 600;
    registrar.expires = 600;
    register(&mut world, "secret");
    run(&mut world, &mut registrar, SECOND);
    assert!(matches!(
        told(&world).last(),
        Some(RegistrationEvent::Registered { expires, .. }) if *expires == 600 * SECOND
    ));
}

#[test]
fn unregistering_takes_the_contact_away_and_stops_everything() {
    let mut world = World::perfect();
    let mut registrar = Registrar::new(&world);
    register(&mut world, "secret");
    run(&mut world, &mut registrar, SECOND);
    let (phone, now) = world.ua(PHONE);
    phone.unregister(now);
    run(&mut world, &mut registrar, SECOND);
    assert_eq!(told(&world).last(), Some(&RegistrationEvent::Unregistered));
    assert_eq!(registrar.contact, None);
    let sent = registers(&world);
    run(&mut world, &mut registrar, Duration::from_secs(3600));
    assert_eq!(registers(&world), sent, "nothing is sent any more");
}

#[test]
fn unregistering_from_a_silent_registrar_ends_too() {
    let mut world = World::perfect();
    let mut registrar = Registrar::new(&world);
    register(&mut world, "secret");
    run(&mut world, &mut registrar, SECOND);
    world.network.cut(address(5060));
    let (phone, now) = world.ua(PHONE);
    phone.unregister(now);
    run(&mut world, &mut registrar, 40 * SECOND);
    assert_eq!(
        told(&world).last(),
        Some(&RegistrationEvent::Failed {
            failure: Failure::TimedOut,
            retry_in: None
        })
    );
}

#[test]
fn registrations_succeed_over_a_lossy_network_and_options_are_answered_while_registered() {
    for seed in 0..50 {
        let lossy = Conditions {
            loss: 0.3,
            duplication: 0.1,
            reordering: 0.1,
            ..Conditions::default()
        };
        let mut world = World::new(seed, lossy);
        let mut registrar = Registrar::new(&world);
        register(&mut world, "secret");
        run(&mut world, &mut registrar, 60 * SECOND);
        assert!(
            matches!(
                told(&world).last(),
                Some(RegistrationEvent::Registered { .. })
            ),
            "seed {seed}"
        );
    }
}

#[test]
fn options_are_answered_200_while_registered_and_480_when_nobody_could_speak() {
    let mut world = World::perfect();
    let mut registrar = Registrar::new(&world);
    register(&mut world, "secret");
    run(&mut world, &mut registrar, SECOND);
    let mut codes = Vec::new();
    for available in [true, false, true] {
        world.ua(PHONE).0.set_available(available);
        let qualify = rollcall_sip::OutgoingRequest {
            method: Method::Options,
            target: rollcall_sip::message::parse_uri("sip:1001-aa-bb@127.0.0.1:5070")
                .expect("a URI"),
            destination: address(5070),
            from: common::name_addr("<sip:pbx@127.0.0.1>"),
            headers: Vec::new(),
            body: bytes::Bytes::new(),
        };
        let (pbx, now) = world.ua(common::PBX);
        let id = pbx.request(now, qualify);
        codes.push(world.expect(common::PBX, |event| match event {
            rollcall_sip::Event::Outgoing {
                id: of,
                outcome: rollcall_sip::OutgoingOutcome::Response(response),
            } if *of == id => Some(response.status_code.code()),
            _ => None,
        }));
    }
    assert_eq!(codes, [200, 480, 200]);
}

#[test]
fn a_refused_refresh_leaves_a_contact_that_unregistering_still_takes_away() {
    let mut world = World::perfect();
    let mut registrar = Registrar::new(&world);
    register(&mut world, "secret");
    run(&mut world, &mut registrar, SECOND);
    registrar.password = "changed meanwhile".into();
    run(&mut world, &mut registrar, 300 * SECOND);
    assert!(matches!(
        told(&world).last(),
        Some(
            RegistrationEvent::Failed {
                failure: Failure::WrongCredentials,
                ..
            } | RegistrationEvent::Registering
        )
    ));
    registrar.password = "secret".into();
    let (phone, now) = world.ua(PHONE);
    phone.unregister(now);
    run(&mut world, &mut registrar, SECOND);
    assert_eq!(told(&world).last(), Some(&RegistrationEvent::Unregistered));
    assert_eq!(registrar.contact, None);
}

/// The REGISTERs that the phone sent, read again.
fn register_requests(world: &World) -> Vec<rollcall_sip::message::Request> {
    let sent = world.sent(PHONE).into_iter();
    sent.filter_map(|message| match message {
        Message::Request(request) if request.method == Method::Register => Some(request),
        _ => None,
    })
    .collect()
}

/// The phone finds itself at another port, and has a second to say so.
fn move_to(world: &mut World, registrar: &mut Registrar, port: u16) {
    world.agents[PHONE].0 = address(port);
    let (phone, now) = world.ua(PHONE);
    phone.relocate(
        now,
        rollcall_sip::Transport::Udp,
        address(port),
        address(5060),
    );
    run(world, registrar, SECOND);
}

#[test]
fn after_a_move_the_new_contact_replaces_the_old_one_in_one_register() {
    let mut world = World::perfect();
    let mut registrar = Registrar::new(&world);
    register(&mut world, "secret");
    run(&mut world, &mut registrar, SECOND);
    let sent_before = register_requests(&world).len();
    move_to(&mut world, &mut registrar, 5071);
    let requests = register_requests(&world).split_off(sent_before);
    let contacts: Vec<&str> = requests[0].headers.texts("Contact").collect();
    assert_eq!(
        contacts,
        [
            "<sip:1001-aa-bb@127.0.0.1:5071>;expires=300",
            "<sip:1001-aa-bb@198.51.100.7:9>;expires=0",
        ],
        "ours first, and the one before as the registrar wrote it"
    );
    assert!(matches!(
        told(&world).last(),
        Some(RegistrationEvent::Registered { contact, .. }) if contact.ends_with(":5071")
    ));
    let sent_before = register_requests(&world).len();
    let (phone, now) = world.ua(PHONE);
    phone.refresh(now);
    run(&mut world, &mut registrar, SECOND);
    let later = register_requests(&world).split_off(sent_before);
    assert_eq!(
        later[0].headers.texts("Contact").count(),
        1,
        "it is forgotten once"
    );
}

#[test]
fn a_contact_that_a_registrar_took_for_the_one_before_is_registered_again_alone() {
    let mut world = World::perfect();
    let mut registrar = Registrar::new(&world);
    register(&mut world, "secret");
    run(&mut world, &mut registrar, SECOND);
    let sent_before = register_requests(&world).len();
    registrar.rewrites_all = true;
    move_to(&mut world, &mut registrar, 5071);
    let requests = register_requests(&world).split_off(sent_before);
    let contacts = requests
        .iter()
        .map(|sent| sent.headers.texts("Contact").count());
    assert_eq!(contacts.collect::<Vec<_>>(), [2, 1]);
    let told = told(&world);
    let failed = |event: &RegistrationEvent| matches!(event, RegistrationEvent::Failed { .. });
    assert!(!told.iter().any(failed), "{told:?}");
    assert!(matches!(
        told.last(),
        Some(RegistrationEvent::Registered { contact, .. }) if contact.ends_with(":5071")
    ));
}

#[test]
fn the_instance_and_the_flow_are_named_in_the_contact() {
    let mut world = World::perfect();
    let urn = "urn:uuid:3f2504e0-4f89-41d3-9a0c-0305e82c3301";
    let mut config = rollcall_sip::Config::phone(address(5070), "1001-aa-bb", "t", 1);
    config.instance = Some(urn.to_owned());
    world.agents[PHONE].1 = rollcall_sip::UserAgent::new(config, world.clock.now());
    let mut registrar = Registrar::new(&world);
    register(&mut world, "secret");
    run(&mut world, &mut registrar, SECOND);
    let request = register_requests(&world).remove(0);
    let contact = request.headers.contacts().remove(0);
    assert_eq!(
        contact.params.get("+sip.instance").as_deref(),
        Some(format!("<{urn}>").as_str())
    );
    assert_eq!(contact.params.get("reg-id").as_deref(), Some("1"));
    assert!(request.headers.lists("Supported", "outbound"));
    assert!(request.headers.lists("Supported", "path"));
}

#[test]
fn the_registrars_service_route_leads_later_requests_but_no_register() {
    let mut world = World::perfect();
    let mut registrar = Registrar::new(&world);
    registrar.service_route = vec![
        "<sip:edge.example;lr>".into(),
        "<sip:home.example;lr>".into(),
    ];
    register(&mut world, "secret");
    run(&mut world, &mut registrar, SECOND);
    world.call(PHONE, "offer");
    let (phone, now) = world.ua(PHONE);
    phone.refresh(now);
    run(&mut world, &mut registrar, SECOND);
    let routes = |method| {
        let sent = world.sent(PHONE).into_iter().rev();
        let mut last = sent.filter_map(|message| match message {
            Message::Request(request) if request.method == method => Some(request),
            _ => None,
        });
        let last = last.next().expect("sent");
        let routes: Vec<String> = last.headers.texts("Route").map(str::to_owned).collect();
        routes
    };
    assert_eq!(
        routes(Method::Invite),
        ["<sip:edge.example;lr>", "<sip:home.example;lr>"]
    );
    assert!(routes(Method::Register).is_empty());
}

#[test]
fn every_contact_of_the_address_is_removed_by_a_star() {
    let mut world = World::perfect();
    let mut registrar = Registrar::new(&world);
    register(&mut world, "secret");
    run(&mut world, &mut registrar, SECOND);
    let bindings: Vec<String> = world.agents[PHONE]
        .1
        .bindings()
        .iter()
        .map(|binding| binding.user().to_owned())
        .collect();
    assert_eq!(
        bindings,
        ["desk", "1001-aa-bb"],
        "another phone's is told too"
    );
    let (phone, now) = world.ua(PHONE);
    phone.unregister_all(now);
    run(&mut world, &mut registrar, SECOND);
    assert_eq!(told(&world).last(), Some(&RegistrationEvent::Unregistered));
    let last = register_requests(&world).pop().expect("sent");
    assert_eq!(last.headers.text("Contact"), Some("*"));
    assert_eq!(last.headers.text("Expires"), Some("0"));
}

#[test]
fn no_lifetime_makes_the_refresh_timer_underflow_or_overflow() {
    for granted in [1, 2, 3, 59, 60, 61, u32::MAX] {
        let mut world = World::perfect();
        let mut registrar = Registrar::new(&world);
        registrar.expires = granted;
        let (phone, now) = world.ua(PHONE);
        let account = rollcall_sip::Account {
            expires: Duration::from_secs(u32::MAX.into()),
            ..account("secret")
        };
        phone.register(now, account);
        run(&mut world, &mut registrar, SECOND / 2);
        let due = world.agents[PHONE].1.poll_timeout().expect("a refresh");
        let wait = due - world.clock.now();
        let lifetime = Duration::from_secs(granted.into());
        assert!(
            wait < lifetime && wait <= Duration::from_secs(86_400),
            "{granted}: {wait:?}"
        );
        let sent = registers(&world);
        run(&mut world, &mut registrar, 10 * SECOND);
        let more = registers(&world) - sent;
        assert!(more <= 50, "{granted}: no storm, {more} in 10 s");
    }
}

#[test]
fn a_contact_of_absurd_length_in_the_200_is_no_registration_and_no_panic() {
    let mut world = World::perfect();
    let mut registrar = Registrar::new(&world);
    registrar.padding = "x".repeat(40_000);
    register(&mut world, "secret");
    run(&mut world, &mut registrar, SECOND / 2);
    assert!(matches!(
        told(&world).last(),
        Some(RegistrationEvent::Failed {
            failure: Failure::ContactMissing,
            ..
        })
    ));
}

#[test]
fn a_request_for_another_contact_is_answered_404_and_rings_nothing() {
    let mut world = World::perfect();
    let config = rollcall_sip::Config {
        trust: rollcall_sip::Trust::Listed(vec![address(5060)]),
        ..rollcall_sip::Config::phone(address(5070), "1001-aa-bb", "t", 1)
    };
    world.agents[PHONE].1 = rollcall_sip::UserAgent::new(config, world.clock.now());
    let request = |method: &str, user: &str| {
        format!(
            "{method} sip:{user}@127.0.0.1:5070 SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK{method}{user}\n\
             From: <sip:a@b>;tag=1\nTo: <sip:c@d>\nCall-ID: {method}{user}\nCSeq: 1 {method}\nContact: <sip:a@b>\n\n"
        )
    };
    for (method, user, answer) in [
        ("INVITE", "1001", "SIP/2.0 404 Not Found"),
        ("INVITE", "1001-aa-cc", "SIP/2.0 404 Not Found"),
        ("OPTIONS", "1001", "SIP/2.0 404 Not Found"),
        ("OPTIONS", "1001-aa-bb", "SIP/2.0 200 OK"),
        ("INVITE", "1001-aa-bb", "SIP/2.0 100 Trying"),
    ] {
        world.wire.clear();
        world.inject(address(5060), PHONE, &request(method, user));
        assert_eq!(world.start_lines(PHONE), [answer], "{method} {user}");
    }
    let rang = world.count(PHONE, |event| {
        matches!(event, rollcall_sip::Event::Incoming { .. })
    });
    assert_eq!(rang, 1);
}
