//! A house to run the core in: virtual time, a database that commits when told, an Asterisk that
//! answers lists from what the test says it holds.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use rollcall_alignment::*;

pub(crate) const START_MS: u64 = 1_795_359_000_000;

/// What the outside holds of one core.
pub(crate) struct House {
    pub(crate) core: Core,
    pub(crate) now: Now,
    /// Contacts in Asterisk.
    pub(crate) contacts: BTreeMap<ContactId, Contact>,
    pub(crate) devices: BTreeMap<Extension, DeviceState>,
    pub(crate) channels: BTreeMap<String, Channel>,
    /// Queue members, by queue and endpoint.
    pub(crate) members: BTreeMap<(String, Extension), Membership>,
    /// Drains and restorations take effect at once.
    pub(crate) obeys: bool,
    /// AMI is up, and lists are answered.
    pub(crate) ami: bool,
    pub(crate) answers_lists: bool,
    /// An empty list of contacts is proved to mean that nobody is registered (F15).
    pub(crate) empty_is_proved: bool,
    /// Commits are made at once.
    pub(crate) commits: bool,
    /// Commits fail at once with this.
    pub(crate) failing: Option<Failure>,
    pub(crate) pending: VecDeque<Commit>,
    /// The database.
    pub(crate) users: BTreeMap<Extension, UserRow>,
    pub(crate) rows: BTreeMap<ContactId, ContactRow>,
    pub(crate) sessions: BTreeMap<SessionId, SessionRow>,
    pub(crate) pauses: BTreeMap<Extension, PauseRow>,
    pub(crate) ledger: Vec<LedgerEntry>,
    /// What left the core.
    pub(crate) replies: BTreeMap<RequestId, Answer>,
    pub(crate) broadcasts: Vec<Broadcast>,
    pub(crate) asks: Vec<Ask>,
    pub(crate) board: BTreeMap<Extension, AgentView>,
    next_request: u64,
    tick: u64,
    next_link: u64,
    links: BTreeMap<SessionId, Vec<LinkId>>,
}

pub(crate) fn ext(name: &str) -> Extension {
    Extension::new(name).unwrap()
}

pub(crate) fn session(name: &str) -> SessionId {
    SessionId::new(name).unwrap()
}

pub(crate) fn device(name: &str) -> DeviceId {
    DeviceId::new(name).unwrap()
}

pub(crate) fn good_vitals() -> Vitals {
    Vitals {
        tick: 0,
        sip_loop_ok: true,
        audio_loop_ok: true,
        microphone_ok: true,
        registered: Some(true),
    }
}

impl House {
    /// A house of these agents, running, with Asterisk read.
    pub(crate) fn of(agents: &[&str]) -> Self {
        let mut house = House::without_ami(agents, Config::default());
        house.ami_up();
        house
    }

    pub(crate) fn without_ami(agents: &[&str], config: Config) -> Self {
        let people = agents
            .iter()
            .map(|name| Person {
                extension: ext(name),
                owner: 1,
            })
            .collect();
        House::restored(
            Restored {
                people,
                ..Restored::default()
            },
            config,
            house_start(),
        )
    }

    pub(crate) fn restored(restored: Restored, config: Config, now: Now) -> Self {
        let mut house = House {
            core: Core::new(config, Epoch(now.unix_ms), now),
            now,
            contacts: BTreeMap::new(),
            devices: BTreeMap::new(),
            channels: BTreeMap::new(),
            members: BTreeMap::new(),
            obeys: true,
            ami: false,
            answers_lists: true,
            empty_is_proved: true,
            commits: true,
            failing: None,
            pending: VecDeque::new(),
            users: restored
                .users
                .iter()
                .map(|row| (row.extension.clone(), row.clone()))
                .collect(),
            rows: restored
                .contacts
                .iter()
                .map(|row| (row.id.clone(), row.clone()))
                .collect(),
            sessions: restored
                .sessions
                .iter()
                .map(|row| (row.id.clone(), row.clone()))
                .collect(),
            pauses: restored
                .pauses
                .iter()
                .map(|row| (row.extension.clone(), row.clone()))
                .collect(),
            ledger: Vec::new(),
            replies: BTreeMap::new(),
            broadcasts: Vec::new(),
            asks: Vec::new(),
            board: BTreeMap::new(),
            next_request: 0,
            tick: 0,
            next_link: 0,
            links: BTreeMap::new(),
        };
        for person in &restored.people {
            house
                .devices
                .insert(person.extension.clone(), DeviceState::Unavailable);
        }
        house.see(Observation::Restored(restored));
        house
    }

    /// The server restarts: a new core on what the database holds.
    pub(crate) fn restarted(self, config: Config) -> Self {
        let people = self.devices.keys().map(|extension| Person {
            extension: extension.clone(),
            owner: 1,
        });
        let restored = Restored {
            people: people.collect(),
            users: self.users.values().cloned().collect(),
            sessions: self
                .sessions
                .values()
                .filter(|row| !matches!(row.state, SessionState::Ended(_)))
                .cloned()
                .collect(),
            contacts: self.rows.values().cloned().collect(),
            last_ends: last_ends(&self.sessions),
            pauses: self.pauses.values().cloned().collect(),
            decided: decided(&self.ledger),
        };
        let now = self.now.plus(Duration::from_secs(1));
        let mut house = House::restored(restored, config, now);
        house.contacts = self.contacts;
        house.devices = self.devices;
        house.channels = self.channels;
        house.members = self.members;
        house.ledger = self.ledger;
        house
    }

    pub(crate) fn ami_up(&mut self) {
        self.ami = true;
        self.see(Observation::AmiUp);
    }

    /// The link comes up again, to an Asterisk that has run for so many seconds.
    pub(crate) fn ami_up_after(&mut self, seconds: u64) {
        self.ami_up();
        let up_for = Duration::from_secs(seconds);
        self.see(Observation::Booted { up_for });
    }

    pub(crate) fn ami_lost(&mut self) {
        self.ami = false;
        self.see(Observation::AmiLost);
    }

    pub(crate) fn see(&mut self, observation: Observation) {
        self.input(Input::Observation(observation));
    }

    pub(crate) fn input(&mut self, input: Input) {
        self.core.handle(self.now, input);
        self.drain();
    }

    /// Lets time pass, waking the core whenever it wants to be woken.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now.monotonic + time;
        let mut wakes = 0;
        while let Some(wake) = self.core.poll_timeout()
            && wake <= end
        {
            wakes += 1;
            assert!(wakes < 10_000, "the core never sleeps: {wake:?}");
            let step = wake.saturating_duration_since(self.now.monotonic);
            self.now = self.now.plus(step);
            self.core.handle_timeout(self.now);
            self.drain();
        }
        self.now = self
            .now
            .plus(end.saturating_duration_since(self.now.monotonic));
    }

    pub(crate) fn pass_seconds(&mut self, seconds: u64) {
        self.pass(Duration::from_secs(seconds));
    }

    fn drain(&mut self) {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Commit(commit) => match self.failing {
                    Some(failure) => self
                        .core
                        .handle(self.now, Input::Failed(commit.id, failure)),
                    None if self.commits => self.make(commit),
                    None => self.pending.push_back(commit),
                },
                Output::Reply(reply) => {
                    let twice = self.replies.insert(reply.request, reply.answer);
                    assert!(twice.is_none(), "answered twice");
                }
                Output::Broadcast(broadcast) => {
                    let last = self.broadcasts.last().map_or(0, |last| last.seq.0);
                    assert_eq!(broadcast.seq.0, last + 1, "seq is strictly one more");
                    self.is_committed(&broadcast.agent);
                    self.board
                        .insert(broadcast.agent.extension.clone(), broadcast.agent.clone());
                    self.broadcasts.push(broadcast);
                }
                Output::Withdrawn(extension) => drop(self.board.remove(&extension)),
                Output::Ask(ask) => {
                    if let Ask::Resync { asked_at, .. } = &ask
                        && self.ami
                        && self.answers_lists
                    {
                        self.answer_lists(*asked_at);
                    }
                    if self.ami && self.obeys {
                        self.obey(&ask);
                    }
                    self.asks.push(ask);
                }
            }
        }
    }

    /// Asterisk's queues do as they are told.
    fn obey(&mut self, ask: &Ask) {
        match ask {
            Ask::Queues { endpoint, order } => match order {
                QueueOrder::Drain { reason } => {
                    let reason = format!("{DRAIN_REASON}{}", reason.as_str());
                    self.pause_all(endpoint, |member| !member.paused, true, &reason);
                }
                QueueOrder::Pause { reason } => {
                    self.pause_all(endpoint, |_| true, true, reason.as_str());
                }
                QueueOrder::Unpause { queues } => {
                    self.pause_all(endpoint, |member| queues.contains(&member.queue), false, "");
                }
            },
            Ask::Restore(membership) => self.member(membership.clone()),
            _ => {}
        }
    }

    fn pause_all(
        &mut self,
        endpoint: &Extension,
        which: impl Fn(&Membership) -> bool,
        paused: bool,
        reason: &str,
    ) {
        let of_endpoint = |member: &&Membership| member.endpoint == *endpoint && which(member);
        let members: Vec<_> = self.members.values().filter(of_endpoint).cloned().collect();
        for member in members {
            self.member(Membership {
                paused,
                reason: reason.to_owned(),
                ..member
            });
        }
    }

    /// A queue has this member, and says so.
    pub(crate) fn member(&mut self, member: Membership) {
        let key = (member.queue.clone(), member.endpoint.clone());
        self.members.insert(key, member.clone());
        self.core
            .handle(self.now, Input::Observation(Observation::Member(member)));
    }

    /// The endpoint is a member of the queue `support`, paused by a person or not.
    pub(crate) fn queue(&mut self, agent: &str, pause: Option<&str>) {
        self.member(Membership {
            endpoint: ext(agent),
            queue: "support".to_owned(),
            paused: pause.is_some(),
            reason: pause.unwrap_or_default().to_owned(),
        });
        self.drain();
    }

    /// Whether and why the queue `support` passes the agent over.
    pub(crate) fn queue_pause(&self, agent: &str) -> Option<&str> {
        let member = &self.members[&("support".to_owned(), ext(agent))];
        member.paused.then_some(member.reason.as_str())
    }

    /// R8: what a row says is in the table already.
    fn is_committed(&self, view: &AgentView) {
        let stored = self.user(view.extension.as_str());
        assert_eq!(
            stored,
            (view.online, view.sip_registered),
            "said before saved: {view:?}"
        );
        for device in &view.devices {
            let Some(hash) = &device.contact_hash else {
                continue;
            };
            let row = self.rows.values().find(|row| row.id.short_hash() == hash);
            let saved = row.map(|row| row.status);
            assert_eq!(saved, device.contact_status, "said before saved: {view:?}");
        }
    }

    pub(crate) fn answer_lists(&mut self, asked_at: Instant) {
        let contacts = self.contacts.values().cloned().collect();
        let states = self
            .devices
            .iter()
            .map(|(name, state)| (name.clone(), *state))
            .collect();
        let channels = self.channels.values().cloned().collect();
        let rows = self.rows.values().cloned().collect();
        let members = self.members.values().cloned().collect();
        for list in [
            Observation::Stored { asked_at, rows },
            Observation::Contacts {
                asked_at,
                contacts,
                empty_is_proved: self.empty_is_proved,
            },
            Observation::Devices { asked_at, states },
            Observation::Channels { asked_at, channels },
            Observation::Members { asked_at, members },
        ] {
            self.core.handle(self.now, Input::Observation(list));
        }
        self.drain();
    }

    /// The database makes a commit.
    fn make(&mut self, commit: Commit) {
        assert!(!commit.writes.is_empty(), "a commit of nothing");
        for write in commit.writes {
            match write {
                Write::User(row) => drop(self.users.insert(row.extension.clone(), row)),
                Write::Contact(row) => drop(self.rows.insert(row.id.clone(), row)),
                Write::ContactGone(id) => {
                    assert!(
                        self.rows.remove(&id).is_some(),
                        "deletes a row that is not there"
                    );
                }
                Write::Session(row) => drop(self.sessions.insert(row.id.clone(), row)),
                Write::Pause(row) => drop(self.pauses.insert(row.extension.clone(), row)),
                Write::PauseGone(extension) => drop(self.pauses.remove(&extension)),
                Write::Ledger(entry) => self.ledger.push(entry),
            }
        }
        self.core.handle(self.now, Input::Committed(commit.id));
    }

    /// The database makes everything that waits.
    pub(crate) fn commit_all(&mut self) {
        while let Some(commit) = self.pending.pop_front() {
            self.make(commit);
            self.drain();
        }
    }

    pub(crate) fn fail_all(&mut self, failure: Failure) {
        for commit in std::mem::take(&mut self.pending) {
            self.input(Input::Failed(commit.id, failure));
        }
    }

    /// A session's device connects once more.
    pub(crate) fn link_opens(&mut self, name: &str) {
        self.next_link += 1;
        let link = LinkId(self.next_link);
        self.links.entry(session(name)).or_default().push(link);
        self.see(Observation::LinkOpened {
            session: session(name),
            link,
        });
    }

    /// The newest of its connections closes; without one nothing happens.
    pub(crate) fn link_closes(&mut self, name: &str) {
        if let Some(link) = self.links.get_mut(&session(name)).and_then(Vec::pop) {
            self.see(Observation::LinkClosed {
                session: session(name),
                link,
            });
        }
    }

    pub(crate) fn ask(&mut self, intent: Intent) -> RequestId {
        self.next_request += 1;
        let request = RequestId(self.next_request);
        self.input(Input::Intent { request, intent });
        request
    }

    pub(crate) fn sign_in(&mut self, agent: &str, name: &str, on: &str) -> RequestId {
        self.ask(Intent::SignIn(SignIn {
            session: session(name),
            extension: ext(agent),
            device: device(on),
        }))
    }

    pub(crate) fn online(&mut self, agent: &str, name: &str, contact_uri: &str) -> RequestId {
        self.ask(Intent::AgentOnline {
            session: session(name),
            extension: ext(agent),
            contact_uri: contact_uri.to_owned(),
            take_over: false,
            key: None,
        })
    }

    pub(crate) fn take_over(&mut self, agent: &str, name: &str, contact_uri: &str) -> RequestId {
        self.ask(Intent::AgentOnline {
            session: session(name),
            extension: ext(agent),
            contact_uri: contact_uri.to_owned(),
            take_over: true,
            key: None,
        })
    }

    /// The session `by` asks for a pause, or for its end.
    pub(crate) fn pause(&mut self, agent: &str, reason: Option<&str>, by: &str) -> RequestId {
        self.ask(Intent::Pause(PauseIntent {
            extension: ext(agent),
            reason: reason.map(|reason| PauseReason::new(reason).unwrap()),
            by: session(by),
            key: None,
        }))
    }

    /// Asks for a logout. Its answer comes once every view agrees.
    pub(crate) fn logout(&mut self, name: &str) -> RequestId {
        self.ask(Intent::AgentLogout {
            session: session(name),
            device: None,
            key: None,
        })
    }

    pub(crate) fn answer(&self, request: RequestId) -> &Answer {
        self.replies.get(&request).expect("an answer")
    }

    /// A phone registers: its contact appears in Asterisk with the events of a registration.
    pub(crate) fn register(&mut self, agent: &str, user: &str, device: Option<&str>) -> ContactId {
        let contact = contact(agent, user, device, self.now, ContactStatus::NonQualified);
        let id = contact.id.clone();
        let uri = contact.uri.clone();
        self.contacts.insert(id.clone(), contact);
        self.contact_event(agent, &uri, ContactStatus::NonQualified);
        self.set_device(agent, DeviceState::NotInUse);
        id
    }

    /// Asterisk's OPTIONS are answered, or not, from now on.
    pub(crate) fn qualified(&mut self, id: &ContactId, status: ContactStatus) {
        let contact = self
            .contacts
            .get_mut(id)
            .expect("the contact is in Asterisk");
        contact.status = status;
        let (endpoint, uri) = (contact.endpoint.clone(), contact.uri.clone());
        self.contact_event(endpoint.as_str(), &uri, status);
    }

    /// A contact leaves Asterisk: unregistered, expired, evicted.
    pub(crate) fn unregister(&mut self, id: &ContactId) {
        let contact = self
            .contacts
            .remove(id)
            .expect("the contact is in Asterisk");
        let agent = contact.endpoint.as_str();
        self.contact_event(agent, &contact.uri, ContactStatus::Expired);
        if !self
            .contacts
            .values()
            .any(|other| other.endpoint == contact.endpoint)
        {
            self.set_device(agent, DeviceState::Unavailable);
        }
    }

    pub(crate) fn contact_event(&mut self, agent: &str, uri: &str, status: ContactStatus) {
        self.see(Observation::ContactEvent(ContactEvent {
            endpoint: ext(agent),
            uri: uri.to_owned(),
            status,
        }));
    }

    pub(crate) fn set_device(&mut self, agent: &str, state: DeviceState) {
        self.devices.insert(ext(agent), state);
        self.see(Observation::Device {
            endpoint: ext(agent),
            state,
        });
    }

    pub(crate) fn channel(&mut self, agent: &str, unique_id: &str, state: ChannelState) {
        let channel = Channel {
            unique_id: unique_id.to_owned(),
            endpoint: ext(agent),
            state,
        };
        self.channels.insert(unique_id.to_owned(), channel.clone());
        self.see(Observation::Channel(channel));
    }

    pub(crate) fn call_begins(&mut self, agent: &str) {
        self.channel(agent, "call", ChannelState::Up);
        self.set_device(agent, DeviceState::InUse);
    }

    pub(crate) fn call_ends(&mut self, agent: &str) {
        self.channels.remove("call");
        self.see(Observation::Hangup {
            unique_id: "call".to_owned(),
        });
        self.set_device(agent, DeviceState::NotInUse);
    }

    pub(crate) fn heartbeat(&mut self, name: &str) {
        self.heartbeat_with(name, good_vitals());
    }

    pub(crate) fn heartbeat_with(&mut self, name: &str, vitals: Vitals) {
        self.tick += 1;
        let vitals = Vitals {
            tick: self.tick,
            ..vitals
        };
        self.see(Observation::Heartbeat {
            session: session(name),
            vitals,
        });
    }

    pub(crate) fn heartbeat_without_microphone(&mut self, name: &str) {
        let vitals = Vitals {
            microphone_ok: false,
            ..good_vitals()
        };
        self.heartbeat_with(name, vitals);
    }

    /// Time passes with a heartbeat every five seconds.
    pub(crate) fn live(&mut self, names: &[&str], seconds: u64) {
        for _ in 0..seconds / 5 {
            for name in names {
                self.heartbeat(name);
            }
            self.pass_seconds(5);
        }
    }

    /// The whole login of one of our apps, to Available.
    pub(crate) fn log_in(&mut self, agent: &str, name: &str, on: &str) -> ContactId {
        self.sign_in(agent, name, on);
        self.link_opens(name);
        self.heartbeat(name);
        let user = format!("{agent}-{name}");
        let id = self.register(agent, &user, Some(on));
        self.pass(Duration::from_millis(300));
        self.online(agent, name, &format!("sip:{user}@10.0.0.9:5060"));
        self.qualified(&id, ContactStatus::Reachable);
        self.pass(Duration::from_millis(300));
        self.heartbeat(name);
        assert_eq!(
            self.status(agent),
            BoardStatus::Available,
            "{:?}",
            self.reasons(agent)
        );
        id
    }

    pub(crate) fn view(&self, agent: &str) -> AgentView {
        let snapshot = self.core.snapshot().expect("a snapshot");
        let found = snapshot
            .agents
            .into_iter()
            .find(|view| view.extension.as_str() == agent);
        found.expect("the agent is on the board")
    }

    pub(crate) fn status(&self, agent: &str) -> BoardStatus {
        self.view(agent).status
    }

    pub(crate) fn reasons(&self, agent: &str) -> Vec<&'static str> {
        self.view(agent)
            .reasons
            .iter()
            .map(|reason| reason.code.as_str())
            .collect()
    }

    pub(crate) fn user(&self, agent: &str) -> (bool, bool) {
        self.users
            .get(&ext(agent))
            .map_or((false, false), |row| (row.online, row.sip_registered))
    }

    /// `SELECT status FROM ps_contacts WHERE endpoint = ...`.
    pub(crate) fn row_statuses(&self, agent: &str) -> Vec<&'static str> {
        let of_agent = self
            .rows
            .values()
            .filter(|row| row.endpoint.as_str() == agent);
        of_agent.map(|row| row.status.as_str()).collect()
    }

    /// When lists were last asked for.
    pub(crate) fn last_resync(&self) -> Instant {
        let asked = |ask: &Ask| match ask {
            Ask::Resync { asked_at, .. } => Some(*asked_at),
            _ => None,
        };
        self.asks
            .iter()
            .rev()
            .find_map(asked)
            .expect("lists were asked for")
    }

    pub(crate) fn evictions(&self) -> Vec<(ContactId, EvictReason)> {
        let evict = |ask: &Ask| match ask {
            Ask::Evict { contact, reason } => Some((contact.id.clone(), *reason)),
            _ => None,
        };
        self.asks.iter().filter_map(evict).collect()
    }

    pub(crate) fn resyncs(&self) -> Vec<ResyncReason> {
        let resync = |ask: &Ask| match ask {
            Ask::Resync { reason, .. } => Some(*reason),
            _ => None,
        };
        self.asks.iter().filter_map(resync).collect()
    }
}

/// Why each extension's last session ended, as the table says.
fn last_ends(sessions: &BTreeMap<SessionId, SessionRow>) -> Vec<(Extension, EndReason)> {
    let mut ended: Vec<_> = sessions
        .values()
        .filter_map(|row| match row.state {
            SessionState::Ended(reason) => Some((row.ended_unix_ms, row.extension.clone(), reason)),
            _ => None,
        })
        .collect();
    ended.sort_by_key(|(at, ..)| *at);
    let last: BTreeMap<_, _> = ended
        .into_iter()
        .map(|(_, extension, reason)| (extension, reason))
        .collect();
    last.into_iter().collect()
}

/// The last state of each extension that the ledger knows.
fn decided(ledger: &[LedgerEntry]) -> Vec<Decided> {
    let lines = ledger.iter().filter_map(|entry| {
        let of = entry.extension.clone()?;
        let decided = Decided::read(of.clone(), entry.at_unix_ms, &entry.detail)?;
        (entry.what == "status_changed").then_some((of, decided))
    });
    lines.collect::<BTreeMap<_, _>>().into_values().collect()
}

pub(crate) fn house_start() -> Now {
    Now {
        monotonic: rollcall_testkit::Clock::new().now(),
        unix_ms: START_MS,
    }
}

pub(crate) fn contact(
    agent: &str,
    user: &str,
    device: Option<&str>,
    now: Now,
    status: ContactStatus,
) -> Contact {
    let uri = format!("sip:{user}@192.0.2.7:41234");
    Contact {
        id: ContactId::of(&ext(agent), &uri),
        endpoint: ext(agent),
        uri,
        user_agent: device.map_or_else(
            || "baresip v1.0.0".to_owned(),
            |id| format!("Rollcall/0.1.0 (device {id})"),
        ),
        expires_unix: now.unix_seconds() + 3600,
        status,
        qualify_frequency: 10,
        reg_server: String::new(),
    }
}
