//! One scenario beside Asterisk and beside the pocket PBX: what the manager interface tells of it agrees.
//!
//! Events of different endpoints come in any order, on Asterisk too; those of one endpoint and kind do not.

use std::collections::BTreeMap;
use std::time::Duration;

use rollcall_ami::event::{Channel, QueueMemberChange};
use rollcall_ami::session::SessionConfig;
use rollcall_ami::{Action, Client, ClientConfig, ClientEvent, EventKind, Listing};
use rollcall_e2e::asterisk::Settings;
use rollcall_e2e::phone::{Phone, Running};
use rollcall_e2e::waiting::PROMPTLY;
use rollcall_e2e::{Asterisk, Pbx, PocketPbx};
use tokio::sync::mpsc::Receiver;

/// What is told of each endpoint, by kind, in its order.
type Story = BTreeMap<String, Vec<String>>;

struct Manager {
    client: Client,
    events: Receiver<ClientEvent>,
    story: Story,
}

impl Manager {
    async fn of(pbx: &impl Pbx) -> Manager {
        let (username, secret) = &pbx.settings().manager;
        let address = format!("127.0.0.1:{}", pbx.ami_port());
        let session = SessionConfig::new(username.as_str(), secret.as_str());
        let (client, events) = Client::start(ClientConfig::new(address, session));
        let mut manager = Manager {
            client,
            events,
            story: Story::new(),
        };
        assert_eq!(manager.next().await, ClientEvent::Connected);
        manager
    }

    async fn next(&mut self) -> ClientEvent {
        let next = tokio::time::timeout(PROMPTLY, self.events.recv()).await;
        next.ok()
            .flatten()
            .unwrap_or_else(|| panic!("nothing more is told; so far: {:#?}", self.story))
    }

    /// Listens until the last line of `subject` is `line`.
    async fn until(&mut self, subject: &str, line: &str) {
        while self
            .story
            .get(subject)
            .and_then(|lines| lines.last())
            .map(String::as_str)
            != Some(line)
        {
            if let ClientEvent::Event(event) = self.next().await {
                self.note(&event.kind);
            }
        }
    }

    fn note(&mut self, kind: &EventKind) {
        let Some((subject, line)) = told(kind) else {
            return;
        };
        let lines = self.story.entry(subject).or_default();
        // A state told twice is no other state. And Asterisk tells of the state that it finds when it gets round to it:
        // a hang-up and an un-registration right after it may be told as one.
        if lines.last().map(String::as_str) == Some("NOT_INUSE") && line == "UNAVAILABLE" {
            lines.pop();
        }
        if lines.last() != Some(&line) {
            lines.push(line);
        }
    }

    /// How many items a list has.
    async fn listed(&self, action: Action) -> usize {
        match self.client.list(action).await {
            Ok(Listing::Items(items)) => items.len(),
            Ok(Listing::NoneFound { .. }) => 0,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Whom an event is about, and what it says; none for what the server does not listen to.
fn told(kind: &EventKind) -> Option<(String, String)> {
    let of = |what: &str, whom: &str| format!("{what} {whom}");
    let channel = |channel: &Channel, what: &str| {
        let whom = channel.endpoint()?;
        Some((of("channel", whom), what.to_owned()))
    };
    match kind {
        EventKind::ContactStatus(change) => {
            Some((of("contact", &change.aor), format!("{:?}", change.status)))
        }
        EventKind::DeviceStateChange(change) => {
            let whom = change.endpoint()?;
            Some((of("device", whom), change.state.as_word().to_owned()))
        }
        EventKind::Newchannel(new) => channel(new, "new"),
        EventKind::Newstate(new) => channel(new, &format!("state {}", new.state)),
        EventKind::Hangup(gone) => channel(&gone.channel, "gone"),
        EventKind::QueueMember(member) if member.change == QueueMemberChange::Pause => {
            Some((of("member", &member.interface), member.paused.to_string()))
        }
        _ => None,
    }
}

async fn phone(pbx: &impl Pbx, extension: &str, change: impl FnOnce(Phone) -> Phone) -> Running {
    let person = pbx
        .settings()
        .people
        .iter()
        .find(|person| person.extension == extension);
    let password = &person.unwrap_or_else(|| panic!("{extension}")).password;
    let phone = change(Phone::at(extension, &pbx.sip(), password)).start();
    phone.registered().await;
    phone
}

/// Two people register; one calls the other, who answers; the call ends; both leave.
async fn a_working_day(pbx: &impl Pbx) -> (Story, Vec<usize>) {
    let mut manager = Manager::of(pbx).await;
    let mut lists = Vec::new();
    let called = phone(pbx, "1002", Phone::answering).await;
    manager.until("contact 1002", "Reachable").await;
    lists.push(manager.listed(Action::show_contacts()).await);
    let mut calling = phone(pbx, "1001", Phone::commanded).await;
    // A registration and a call right after it, too, may be told as one.
    manager.until("device 1001", "NOT_INUSE").await;
    calling.tell("dial 1002");
    manager.until("device 1002", "INUSE").await;
    manager.until("device 1001", "INUSE").await;
    lists.push(manager.listed(Action::show_channels()).await);
    assert!(leave(calling).await);
    manager.until("device 1002", "NOT_INUSE").await;
    manager.until("device 1001", "UNAVAILABLE").await;
    lists.push(manager.listed(Action::show_channels()).await);
    assert!(leave(called).await);
    manager.until("contact 1002", "Removed").await;
    manager.until("device 1002", "UNAVAILABLE").await;
    lists.push(manager.listed(Action::show_contacts()).await);
    // Which queues there are is configuration; that the question is answered is not.
    manager.listed(Action::queue_status()).await;
    manager.client.shutdown().await;
    (manager.story, lists)
}

async fn leave(mut phone: Running) -> bool {
    tokio::time::timeout(Duration::from_secs(20), phone.program.terminate())
        .await
        .is_ok_and(|status| status.success())
}

#[tokio::test]
async fn what_the_pocket_pbx_tells_of_a_working_day_is_what_asterisk_tells() {
    let asterisk = Asterisk::start(Settings::default()).await;
    let real = a_working_day(&asterisk).await;
    let pocket = PocketPbx::start(Settings::default()).await;
    let model = a_working_day(&pocket).await;
    assert!(real.0.len() >= 6, "{real:#?}");
    assert_eq!(model, real);
}
