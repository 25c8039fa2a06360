//! What a manager sees and changes of queues: Asterisk 22's answers and events, as a lab of it gave them.

mod common;

use common::{Site, config};
use rollcall_ami::Packet;
use rollcall_pocket_pbx::{Config, Queue};

fn with_queue() -> Config {
    let mut config = config();
    config.queues = vec![Queue {
        name: "support".into(),
        members: vec!["1001".into()],
    }];
    config
}

/// Everything between the response and the end of a list.
fn members(site: &mut Site) -> Vec<String> {
    let listed = site.action("Action: QueueStatus\n");
    let is_member = |item: &&Packet| item.get("Event") == Some("QueueMember");
    listed.iter().filter(is_member).map(place).collect()
}

fn place(packet: &Packet) -> String {
    let get = |key| packet.get(key).unwrap_or_default();
    let interface = packet.get("Location").unwrap_or(get("Interface"));
    format!(
        "{} {interface} {} status {} paused {} {}",
        get("Queue"),
        get("Membership"),
        get("Status"),
        get("Paused"),
        get("PausedReason"),
    )
}

fn said(answer: &[Packet]) -> (&str, &str) {
    let get = |key| answer[0].get(key).unwrap_or_default();
    (get("Response"), get("Message"))
}

#[test]
fn a_pause_is_kept_told_and_ended_as_asterisk_does() {
    let mut site = Site::new(with_queue());
    site.registered_phone("1001");
    assert_eq!(
        members(&mut site),
        ["support PJSIP/1001 static status 1 paused 0 "]
    );
    site.told.clear();
    let pause = "Action: QueuePause\nInterface: PJSIP/1001\nPaused: true\nReason: lunch\n";
    assert_eq!(
        said(&site.action(pause)),
        ("Success", "Interface paused successfully")
    );
    assert_eq!(site.told[0].get("Event"), Some("QueueMemberPause"));
    assert_eq!(site.told[0].get("Privilege"), Some("agent,all"));
    let paused = "support PJSIP/1001 static status 1 paused 1 lunch";
    assert_eq!(place(&site.told[0]), paused);
    assert_eq!(members(&mut site), [paused]);
    let end = "Action: QueuePause\nInterface: PJSIP/1001\nPaused: false\nQueue: support\n";
    assert_eq!(
        said(&site.action(end)),
        ("Success", "Interface unpaused successfully")
    );
    assert_eq!(
        members(&mut site),
        ["support PJSIP/1001 static status 1 paused 0 "]
    );
}

#[test]
fn a_pause_of_nobody_is_refused_in_asterisks_words() {
    let mut site = Site::new(with_queue());
    let refused = |site: &mut Site, action: &str| {
        let answer = site.action(action);
        let (response, message) = said(&answer);
        assert_eq!(response, "Error", "{action}");
        message.to_owned()
    };
    for (action, words) in [
        (
            "Action: QueuePause\nInterface: PJSIP/1002\nPaused: true\n",
            "Interface not found",
        ),
        (
            "Action: QueuePause\nInterface: PJSIP/1001\nPaused: true\nQueue: sales\n",
            "Interface not found",
        ),
        (
            "Action: QueuePause\nInterface: PJSIP/1001\n",
            "Need 'Interface' and 'Paused' parameters.",
        ),
        (
            "Action: QueueAdd\nQueue: sales\nInterface: PJSIP/1001\n",
            "Unable to add interface to queue: No such queue",
        ),
        (
            "Action: QueueAdd\nQueue: support\nInterface: PJSIP/1001\n",
            "Unable to add interface: Already there",
        ),
        (
            "Action: QueueRemove\nQueue: support\nInterface: PJSIP/1002\n",
            "Unable to remove interface: Not there",
        ),
        (
            "Action: QueueRemove\nQueue: support\nInterface: PJSIP/1001\n",
            "Member not dynamic",
        ),
    ] {
        assert_eq!(refused(&mut site, action), words, "{action}");
    }
    assert_eq!(
        members(&mut site),
        ["support PJSIP/1001 static status 5 paused 0 "]
    );
}

#[test]
fn a_member_comes_and_goes_and_its_calls_are_told() {
    let mut site = Site::new(with_queue());
    let add = "Action: QueueAdd\nQueue: support\nInterface: PJSIP/1002\n";
    assert_eq!(
        said(&site.action(add)),
        ("Success", "Added interface to queue")
    );
    site.registered_phone("1002");
    let of_queues = |packet: &Packet| {
        let event = packet.get("Event").unwrap_or_default();
        event
            .starts_with("Queue")
            .then(|| format!("{event}: {}", place(packet)))
    };
    let told: Vec<String> = site.told.iter().filter_map(of_queues).collect();
    assert_eq!(
        told,
        [
            "QueueMemberAdded: support PJSIP/1002 dynamic status 5 paused 0 ",
            "QueueMemberStatus: support PJSIP/1002 dynamic status 1 paused 0 ",
        ]
    );
    site.told.clear();
    let remove = "Action: QueueRemove\nQueue: support\nInterface: PJSIP/1002\n";
    assert_eq!(
        said(&site.action(remove)),
        ("Success", "Removed interface from queue")
    );
    assert_eq!(site.told[0].get("Event"), Some("QueueMemberRemoved"));
    assert_eq!(
        members(&mut site),
        ["support PJSIP/1001 static status 5 paused 0 "]
    );
}

#[test]
fn a_queue_that_could_not_be_told_apart_is_refused_at_the_start() {
    let queue = |name: &str, member: &str| Queue {
        name: name.into(),
        members: vec![member.into()],
    };
    for (queues, words) in [
        (vec![queue("two words", "1001")], "two words"),
        (vec![queue("support", "1009")], "1009"),
        (
            vec![queue("support", "1001"), queue("support", "1002")],
            "twice",
        ),
    ] {
        let mut config = config();
        config.queues = queues;
        let refused = config.check().unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}");
    }
    assert!(with_queue().check().is_ok());
}
