//! What a phone and a manager see of the registrar.

mod common;

use std::time::Duration;

use common::{Site, config};
use rollcall_ami::ContactId;
use rollcall_sip::{Event, RegistrationEvent};

#[test]
fn a_registration_is_told_in_asterisks_order() {
    let mut site = Site::new(config());
    site.registered_phone("1001");
    assert_eq!(
        site.story(),
        [
            "ContactStatus 1001 NonQualified",
            "PeerStatus 1001 Reachable",
            "DeviceStateChange 1001 NOT_INUSE",
            "ExtensionStatus 1001 0 Idle",
            "ContactStatus 1001 Reachable",
        ]
    );
}

#[test]
fn a_refresh_is_told_to_nobody() {
    let mut site = Site::new(config());
    site.registered_phone("1001");
    site.story();
    site.run(Duration::from_secs(600));
    assert_eq!(site.story(), Vec::<String>::new());
}

#[test]
fn signing_out_removes_the_contact_and_tells_so() {
    let mut site = Site::new(config());
    let phone = site.registered_phone("1001");
    site.story();
    let (ua, now) = site.ua(phone);
    ua.unregister(now);
    site.run(Duration::from_secs(1));
    assert!(
        site.phones[phone]
            .events
            .contains(&Event::Registration(RegistrationEvent::Unregistered))
    );
    assert_eq!(
        site.story(),
        [
            "PeerStatus 1001 Unreachable",
            "ContactStatus 1001 Removed",
            "DeviceStateChange 1001 UNAVAILABLE",
            "ExtensionStatus 1001 4 Unavailable",
        ]
    );
    let answer = site.action("Action: PJSIPShowContacts\n");
    assert_eq!(
        (answer[0].get("Response"), answer[0].get("Message")),
        (Some("Error"), Some("No Contacts found"))
    );
}

#[test]
fn a_wrong_password_is_challenged_again_and_registers_nothing() {
    let mut site = Site::new(config());
    let phone = site.phone("1001");
    site.register(phone, "guess", 60);
    site.run(Duration::from_secs(2));
    let failed = |event: &Event| {
        let wrong = rollcall_sip::Failure::WrongCredentials;
        matches!(event, Event::Registration(RegistrationEvent::Failed { failure, .. }) if *failure == wrong)
    };
    assert!(
        site.phones[phone].events.iter().any(failed),
        "{:?}",
        site.phones[phone].events
    );
    assert_eq!(site.story(), Vec::<String>::new());
}

#[test]
fn an_unknown_person_is_treated_like_a_wrong_password() {
    let mut site = Site::new(config());
    let phone = site.phone("4711");
    site.register(phone, "pw4711", 60);
    site.run(Duration::from_secs(2));
    let failed = |event: &Event| {
        let wrong = rollcall_sip::Failure::WrongCredentials;
        matches!(event, Event::Registration(RegistrationEvent::Failed { failure, .. }) if *failure == wrong)
    };
    assert!(
        site.phones[phone].events.iter().any(failed),
        "{:?}",
        site.phones[phone].events
    );
}

#[test]
fn a_phone_that_vanishes_is_unreachable_in_seconds_and_swept_after_its_expiry() {
    let mut site = Site::new(config());
    let phone = site.registered_phone("1001");
    let gone = site.phones[phone].address;
    site.story();
    site.network.cut(gone);
    site.run(Duration::from_secs(8));
    assert_eq!(
        site.story(),
        [
            "PeerStatus 1001 Unreachable",
            "ContactStatus 1001 Unreachable",
            "DeviceStateChange 1001 UNAVAILABLE",
            "ExtensionStatus 1001 4 Unavailable",
        ]
    );
    site.run(Duration::from_secs(75));
    assert_eq!(site.story(), ["ContactStatus 1001 Removed"]);
}

#[test]
fn a_phone_that_comes_back_is_reachable_again() {
    let mut site = Site::new(config());
    let phone = site.registered_phone("1001");
    let gone = site.phones[phone].address;
    site.network.cut(gone);
    site.run(Duration::from_secs(8));
    site.story();
    site.network.heal(gone);
    site.run(Duration::from_secs(6));
    assert_eq!(
        site.story(),
        [
            "PeerStatus 1001 Reachable",
            "ContactStatus 1001 Reachable",
            "DeviceStateChange 1001 NOT_INUSE",
            "ExtensionStatus 1001 0 Idle",
        ]
    );
}

#[test]
fn an_endpoint_with_two_devices_stays_available_while_one_is_left() {
    let mut site = Site::new(config());
    let first = site.registered_phone("1001");
    site.registered_phone("1001");
    site.story();
    let (ua, now) = site.ua(first);
    ua.unregister(now);
    site.run(Duration::from_secs(1));
    assert_eq!(site.story(), ["ContactStatus 1001 Removed"]);
}

#[test]
fn the_contact_lists_say_what_was_registered() {
    let mut site = Site::new(config());
    let phone = site.registered_phone("1001");
    let uri = format!("sip:1001-dev0@{}", site.phones[phone].address);

    let listed = site.action("Action: PJSIPShowContacts\n");
    assert_eq!(listed.len(), 3);
    assert_eq!(listed[1].get("Uri"), Some(uri.as_str()));
    assert_eq!(listed[1].get("Status"), Some("Reachable"));
    assert_eq!(listed[1].get("RegServer"), Some("pocket"));
    assert_eq!(
        listed[1].get("UserAgent"),
        Some("Rollcall/test (device d0)")
    );
    let expires: u64 = listed[1].get("ExpirationTime").unwrap().parse().unwrap();
    assert!(
        (1_795_359_659..=1_795_359_661).contains(&expires),
        "{expires}"
    );
    let id = ContactId::new(listed[1].get("ObjectName").unwrap());
    assert_eq!((id.aor(), id.hash().len()), ("1001", 32));

    let detailed = site.action("Action: PJSIPShowRegistrationInboundContactStatuses\n");
    assert_eq!(detailed[1].get("ID"), listed[1].get("ObjectName"));
    assert_eq!(
        detailed[1].get("RegExpire"),
        listed[1].get("ExpirationTime")
    );
    assert!(
        detailed[1]
            .get("RoundtripUsec")
            .unwrap()
            .parse::<u64>()
            .unwrap()
            > 0
    );
    assert_eq!(detailed[2].get("ListItems"), Some("1"));
}

#[test]
fn an_expiration_time_put_into_the_past_stops_calls_at_once_and_is_swept_with_all_events() {
    let mut site = Site::new(config());
    site.registered_phone("1001");
    let caller = site.registered_phone("1002");
    let listed = site.action("Action: PJSIPShowContacts\n");
    let id = listed[1].get("ObjectName").unwrap().to_owned();
    site.story();
    let stored = site.action(&format!(
        "Action: DBGet\nFamily: registrar/contact\nKey: {id}\n"
    ));
    let mut entry: serde_json::Value = serde_json::from_str(stored[1].get("Val").unwrap()).unwrap();
    assert_eq!(entry["endpoint"], "1001");
    entry["expiration_time"] = "1".into();
    let put = format!("Action: DBPut\nFamily: registrar/contact\nKey: {id}\nVal: {entry}\n");
    let answer = site.action(&put);
    assert_eq!(answer[0].get("Response"), Some("Success"));
    site.dial(caller, "1001", &rollcall_media::codec::Codec::DEFAULT);
    site.run(Duration::from_secs(1));
    assert_eq!(site.refusal(caller), Some(480));
    site.run(Duration::from_secs(10));
    assert!(
        site.story()
            .contains(&"ContactStatus 1001 Removed".to_owned())
    );
}

#[test]
fn a_manager_without_the_secret_hears_nothing_and_is_shown_out() {
    let mut site = Site::without_login(config(), Default::default());
    let answer = site.action("Action: PJSIPShowContacts\n");
    assert_eq!(answer[0].get("Message"), Some("Permission denied"));
    site.registered_phone("1001");
    assert_eq!(site.story(), Vec::<String>::new());
    let answer = site.action("Action: Login\nUsername: lab\nSecret: guess\n");
    assert_eq!(answer[0].get("Message"), Some("Authentication failed"));
    assert!(site.manager_closed);
}

#[test]
fn a_manager_hears_only_the_classes_it_asked_for() {
    let mut site = Site::without_login(config(), Default::default());
    site.action("Action: Login\nUsername: lab\nSecret: labpw\nEvents: system\n");
    site.told.clear();
    site.registered_phone("1001");
    let names: Vec<_> = site.story();
    assert!(
        names
            .iter()
            .all(|line| line.starts_with("ContactStatus") || line.starts_with("PeerStatus")),
        "{names:?}"
    );
    assert_eq!(names.len(), 3);
}
