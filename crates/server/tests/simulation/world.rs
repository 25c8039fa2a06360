//! The house: everything there is, and the one clock that moves it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rollcall_alignment::*;
use rollcall_ami::Action;
use rollcall_pocket_pbx::pbx::{HeldContact, ManagerId};
use rollcall_pocket_pbx::{Manager, Pbx};
use rollcall_server::asterisk::repairs;
use rollcall_testkit::{Clock, Conditions, Network};

use crate::app::{App, Will, pbx_address};
use crate::database::Database;
use crate::fault::{self, Fault};
use crate::manager::Link;
use crate::table::Mode;
use crate::truth::Truth;
use crate::{check, rest};

const START_MS: u64 = 1_795_359_000_000;
pub(crate) const EXTENSIONS: [&str; 3] = ["1001", "1002", "1003"];
/// Who is in which queue; one is in none.
const QUEUES: [(&str, &[&str]); 2] = [("sales", &["1001"]), ("support", &["1001", "1002"])];
pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// How long after the end of whatever failed the views may differ, in seconds.
const HEALS_WITHIN: u64 = 240;
/// A row that nobody accounts for is found by the list after the next, and goes at the next check of Asterisk's.
const FORGERY_IS_FOUND: Duration = Duration::from_secs(180);

/// What an app says to the server, and what it hears.
#[derive(Debug, Clone)]
pub(crate) enum Mail {
    SignIn(usize, SessionId),
    Online(usize, SessionId, String, bool),
    Logout(usize, SessionId, IdempotencyKey),
    Pause(usize, SessionId, bool),
    Opened(SessionId, LinkId),
    Closed(SessionId, LinkId),
    Beat(SessionId, Vitals),
    Answered(usize, SessionId, Box<Answer>),
    Ended(SessionId),
    Reregister(SessionId),
    Begins(Fault),
    Ends(Fault),
    ServerStarts,
    Leaves(usize),
}

pub(crate) struct World {
    pub(crate) rng: StdRng,
    began: Instant,
    pub(crate) now: Now,
    pub(crate) config: Config,
    pub(crate) core: Option<Core>,
    run: u64,
    pub(crate) mode: Mode,
    pub(crate) db: Database,
    /// What the storage of an Asterisk that is down holds.
    pub(crate) kept: Vec<HeldContact>,
    /// Somebody inserted a row, and since when; whether the server could see that nobody registered it.
    forged: Option<Instant>,
    pub(crate) forgery_may_pass: bool,
    commits: VecDeque<(Instant, u64, CommitId, Vec<Write>)>,
    mail: BTreeMap<(Instant, u64), Mail>,
    mails: u64,
    pub(crate) pbx: Option<Pbx>,
    pub(crate) skew: i64,
    pub(crate) qualify_frequency: u32,
    pub(crate) link: Option<Link>,
    pub(crate) connection: u64,
    link_retry: Instant,
    pub(crate) ami_cut: bool,
    /// Hints from Asterisk are lost, or come twice, so often.
    pub(crate) hints_lost: f64,
    pub(crate) hints_doubled: f64,
    pub(crate) network: Network,
    pub(crate) apps: Vec<App>,
    /// Since when each app is not heard by the server.
    pub(crate) silent: Vec<Option<Instant>>,
    pub(crate) board: BTreeMap<Extension, AgentView>,
    pub(crate) seq: u64,
    asked: BTreeMap<RequestId, (usize, SessionId)>,
    next_request: u64,
    pub(crate) next_session: u64,
    pub(crate) next_link: u64,
    pub(crate) acked_online: BTreeSet<SessionId>,
    pub(crate) acked_out: BTreeSet<SessionId>,
    /// What its queues hold, by its lists and by every event, lost ones too.
    pub(crate) members: Vec<Membership>,
    /// Whose pause was wanted when its person was removed, and in which run of the server.
    removed: BTreeMap<Extension, u64>,
    /// Nobody calls, pauses or comes back any more of their own will.
    pub(crate) calm: bool,
    pub(crate) truth: Truth,
    /// What the dashboards were shown of each, and is to be on the ledger.
    pub(crate) said: BTreeMap<Extension, Vec<BoardStatus>>,
    pub(crate) story: Vec<String>,
    tells: bool,
    until: Instant,
}

impl World {
    pub(crate) fn new(seed: u64, tells: bool) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let clock = Clock::new();
        let now = Now {
            monotonic: clock.now(),
            unix_ms: START_MS,
        };
        let conditions = Conditions {
            loss: [0.0, 0.0, 0.02, 0.1][rng.random_range(0..4)],
            ..Conditions::default()
        };
        let devices = [
            DevicePolicy::Multi,
            DevicePolicy::Single,
            DevicePolicy::Takeover,
        ];
        let mode = Mode::draw(&mut rng);
        let config = Config {
            devices: devices[rng.random_range(0..devices.len())],
            registrar: match mode {
                Mode::Claims => Registrar::Claims,
                Mode::Mirror | Mode::Shared => Registrar::Linked,
            },
            shared_table: mode == Mode::Shared,
            ..Config::default()
        };
        let mut world = World {
            network: Network::new(seed, conditions),
            began: now.monotonic,
            now,
            config,
            core: None,
            run: 0,
            mode,
            db: Database::new(mode == Mode::Shared),
            kept: Vec::new(),
            forged: None,
            forgery_may_pass: false,
            commits: VecDeque::new(),
            mail: BTreeMap::new(),
            mails: 0,
            pbx: None,
            skew: if rng.random_bool(0.2) {
                rng.random_range(-90..90)
            } else {
                0
            },
            qualify_frequency: if rng.random_bool(0.2) { 0 } else { 10 },
            link: None,
            connection: 0,
            link_retry: now.monotonic,
            ami_cut: false,
            hints_lost: 0.0,
            hints_doubled: 0.0,
            apps: Vec::new(),
            silent: Vec::new(),
            board: BTreeMap::new(),
            seq: 0,
            asked: BTreeMap::new(),
            next_request: 0,
            next_session: 0,
            next_link: 0,
            acked_online: BTreeSet::new(),
            acked_out: BTreeSet::new(),
            members: Vec::new(),
            removed: BTreeMap::new(),
            calm: false,
            truth: Truth::default(),
            said: BTreeMap::new(),
            story: Vec::new(),
            tells,
            until: now.monotonic,
            rng,
        };
        for (place, extension) in EXTENSIONS.iter().enumerate() {
            let owner = i64::try_from(place).unwrap();
            let extension = Extension::new(extension).unwrap();
            world.db.add_person(extension, owner);
        }
        for extension in ["1001", "1002", "1003", "1001"] {
            world.add_app(extension, false);
        }
        world.add_app("1003", true);
        world
    }

    fn add_app(&mut self, extension: &str, desk: bool) {
        let app = App::new(self.apps.len(), extension, desk, self.now.monotonic);
        self.apps.push(app);
        self.silent.push(None);
    }

    /// Takes a person, and all that is stored of it, out of the database.
    pub(crate) fn remove_person(&mut self, extension: &Extension) {
        if self.db.pauses.contains_key(extension) {
            self.removed.insert(extension.clone(), self.run);
        }
        self.db.remove_person(extension);
    }

    /// A server that began after a person was removed knows nothing of that person's pause, which the queues may keep.
    pub(crate) fn may_be_left_paused(&self, extension: &Extension) -> bool {
        let removed = self.removed.get(extension);
        removed.is_some_and(|run| *run < self.run)
    }

    /// Morning: everything starts, and most people sign in.
    pub(crate) fn open(&mut self) {
        self.start_pbx();
        self.start_server();
        for app in 0..3 {
            self.apps[app].will = if self.rng.random_bool(0.85) {
                Will::In
            } else {
                Will::Out
            };
        }
        self.pass(20 * SECOND);
    }

    /// A fault alone is followed until its views agree: which one it was, and how many seconds after its end that was.
    /// Of several at once only that nothing false is said.
    pub(crate) fn live_through_faults(&mut self) -> Option<(u8, u64)> {
        let faults = self.rng.random_range(1..=6);
        let mut alone = None;
        for _ in 0..faults {
            let fault = Fault::draw(&mut self.rng, self.apps.len());
            let begins = Duration::from_millis(self.rng.random_range(0..60_000));
            let lasts = Duration::from_millis(self.rng.random_range(200..40_000));
            self.post(begins, Mail::Begins(fault));
            self.post(begins + lasts, Mail::Ends(fault));
            alone = Some((fault.situation, begins + lasts.max(fault::AT_LEAST)));
        }
        let Some((situation, ends)) = alone.filter(|_| faults == 1) else {
            self.pass(100 * SECOND);
            return None;
        };
        self.pass(ends);
        fault::calm_down(self);
        let took = rest::is_come_to(self, fault::agreed_within(situation));
        Some((situation, took))
    }

    /// Everything works again, nobody wants anything new, and in time every view agrees.
    pub(crate) fn heal(&mut self) {
        self.tell("all is well again");
        fault::heal_all(self);
        fault::calm_down(self);
        rest::is_come_to(self, HEALS_WITHIN);
        rest::nothing_is_lost(self);
    }

    pub(crate) fn tell(&mut self, what: &str) {
        let at = self.now.unix_ms - START_MS;
        let line = format!("{:>7}.{:03} {what}", at / 1000, at % 1000);
        if self.tells {
            eprintln!("{line}");
        }
        self.story.push(line);
    }

    pub(crate) fn post(&mut self, after: Duration, mail: Mail) {
        self.mails += 1;
        self.mail
            .insert((self.now.monotonic + after, self.mails), mail);
    }

    pub(crate) fn latency(&mut self) -> Duration {
        Duration::from_micros(self.rng.random_range(200..20_000))
    }

    pub(crate) fn start_pbx(&mut self) {
        let manager = Manager {
            username: "rollcall".into(),
            secret: "secret".into(),
        };
        let people = EXTENSIONS
            .map(|name| rollcall_pocket_pbx::Person::new(name, &format!("pw{name}")))
            .into();
        let mut config = rollcall_pocket_pbx::Config::new(manager, people);
        config.queues = QUEUES
            .map(|(name, members)| rollcall_pocket_pbx::Queue {
                name: name.to_owned(),
                members: members.iter().map(|&member| member.to_owned()).collect(),
            })
            .into();
        config.aor.qualify_frequency = self.qualify_frequency;
        config.seed = Some(self.rng.random());
        let epoch = Duration::from_millis(self.now.unix_ms.saturating_add_signed(self.skew * 1000));
        let mut pbx = Pbx::new(config, pbx_address(), self.now.monotonic, epoch);
        pbx.restore(self.now.monotonic, self.kept.drain(..));
        self.pbx = Some(pbx);
    }

    /// What it stored is there when it starts again; an astdb may be lost with its machine.
    /// Somebody sets Asterisk's clock.
    pub(crate) fn step_clock(&mut self, seconds: i64) {
        self.skew += seconds;
        if let Some(pbx) = &mut self.pbx {
            pbx.step_clock(seconds);
        }
    }

    pub(crate) fn stop_pbx(&mut self) {
        let contacts = self.contacts();
        self.pbx = None;
        if self.mode == Mode::Shared || self.rng.random_bool(0.5) {
            self.kept = contacts;
        }
        self.lose_link();
    }

    pub(crate) fn start_server(&mut self) {
        if self.core.is_some() {
            return;
        }
        if self.db.down {
            return self.post(SECOND, Mail::ServerStarts);
        }
        self.run += 1;
        self.seq = 0;
        self.board.clear();
        let mut core = Core::new(self.config, Epoch(self.now.unix_ms), self.now);
        self.read_table();
        let restored = Observation::Restored(self.db.restored());
        core.handle(self.now, Input::Observation(restored));
        self.core = Some(core);
        self.link_retry = self.now.monotonic;
        self.drain_core();
    }

    /// Killed: what was on its way to the disk gets there up to some point, and is told to nobody.
    pub(crate) fn kill_server(&mut self) {
        self.looks_away();
        self.core = None;
        self.link = None;
        self.asked.clear();
        let kept = self.rng.random_range(0..=self.commits.len());
        let under_way: Vec<_> = self.commits.drain(..).take(kept).collect();
        for (_, _, _, writes) in under_way {
            self.make(writes);
        }
        for app in &mut self.apps {
            app.link = None;
        }
        for said in self.said.values_mut() {
            // That a source is out of sight is said at once; its line may not have got to the disk.
            said.pop_if(|last| *last == BoardStatus::Unknown);
        }
    }

    pub(crate) fn lose_link(&mut self) {
        self.looks_away();
        if self.link.take().is_some_and(|link| link.ready) {
            self.see(Observation::AmiLost);
        }
        self.link_retry = self.now.monotonic + Duration::from_millis(500);
        let id = ManagerId(self.connection);
        if let Some(pbx) = &mut self.pbx {
            pbx.manager_disconnected(id);
        }
    }

    /// What is there when the server comes to look is not known to be forged: it may have been registered meanwhile.
    pub(crate) fn row_was_forged(&mut self) {
        self.forged = Some(self.now.monotonic);
        self.forgery_may_pass |= !self.link.as_ref().is_some_and(|link| link.ready);
    }

    fn looks_away(&mut self) {
        let found = self
            .forged
            .is_some_and(|since| self.now.monotonic > since + FORGERY_IS_FOUND);
        self.forgery_may_pass |= self.forged.is_some() && !found;
    }

    pub(crate) fn see(&mut self, observation: Observation) {
        if let Some(core) = &mut self.core {
            core.handle(self.now, Input::Observation(observation));
            self.drain_core();
        }
    }

    pub(crate) fn intend(&mut self, app: usize, session: SessionId, intent: Intent) {
        let Some(core) = &mut self.core else {
            return;
        };
        self.next_request += 1;
        let request = RequestId(self.next_request);
        self.asked.insert(request, (app, session));
        core.handle(self.now, Input::Intent { request, intent });
        self.drain_core();
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.until = self.now.monotonic + time;
        let mut steps = 0_u32;
        while let Some(due) = self.next_due().filter(|due| *due <= self.until) {
            steps += 1;
            assert!(
                steps < 2_000_000,
                "the house never sleeps: {}",
                self.restless()
            );
            let step = due.saturating_duration_since(self.now.monotonic);
            self.move_clock(step);
            self.do_what_is_due();
        }
        let rest = self.until.saturating_duration_since(self.now.monotonic);
        self.move_clock(rest);
    }

    fn move_clock(&mut self, step: Duration) {
        self.now.monotonic += step;
        let since = self.now.monotonic.duration_since(self.began);
        self.now.unix_ms = START_MS + u64::try_from(since.as_millis()).unwrap();
    }

    fn next_due(&self) -> Option<Instant> {
        let phones = self.apps.iter().filter(|app| app.acts());
        let mut due: Vec<Instant> = phones
            .flat_map(|app| {
                let talk = app.call.map(|talk| talk.until);
                [app.ua.poll_timeout(), Some(app.turn), talk]
            })
            .flatten()
            .collect();
        due.extend(self.core.as_ref().and_then(Core::poll_timeout));
        due.extend(self.pbx.as_ref().and_then(Pbx::poll_timeout));
        due.extend(self.link.as_ref().and_then(Link::next));
        due.extend(self.network.poll_timeout());
        due.extend(self.commits.front().map(|(at, ..)| *at));
        due.extend(self.mail.keys().next().map(|(at, _)| *at));
        if self.may_link() {
            due.push(self.link_retry);
        }
        due.into_iter().min().map(|due| due.max(self.now.monotonic))
    }

    /// Who wants to be woken at once, again and again.
    fn restless(&self) -> String {
        let now = self.now.monotonic;
        let due = [
            ("core", self.core.as_ref().and_then(Core::poll_timeout)),
            ("pbx", self.pbx.as_ref().and_then(Pbx::poll_timeout)),
            ("link", self.link.as_ref().and_then(Link::next)),
            ("network", self.network.poll_timeout()),
            ("commit", self.commits.front().map(|(at, ..)| *at)),
            ("mail", self.mail.keys().next().map(|(at, _)| *at)),
        ];
        let phones = self.apps.iter().filter(|app| app.acts());
        let phones = phones.map(|app| ("phone", app.ua.poll_timeout()));
        let due = due.into_iter().chain(phones);
        let due = due.filter(|(_, at)| at.is_some_and(|at| at <= now));
        due.map(|(who, _)| who).collect::<Vec<_>>().join(", ")
    }

    fn may_link(&self) -> bool {
        self.link.is_none()
            && self.core.is_some()
            && self.pbx.is_some()
            && !self.ami_cut
            && self.mode != Mode::Claims
    }

    fn do_what_is_due(&mut self) {
        let now = self.now.monotonic;
        while self.commits.front().is_some_and(|(at, ..)| *at <= now) {
            self.make_commit();
        }
        if self
            .core
            .as_ref()
            .and_then(Core::poll_timeout)
            .is_some_and(|due| due <= now)
        {
            if let Some(core) = &mut self.core {
                core.handle_timeout(self.now);
            }
            self.drain_core();
        }
        while let Some(datagram) = self.network.receive(now) {
            if datagram.to == pbx_address() {
                if let Some(pbx) = &mut self.pbx {
                    pbx.handle_sip(now, datagram.from, &datagram.bytes);
                }
            } else if let Some(app) = self.apps.iter_mut().find(|app| app.address == datagram.to)
                && app.acts()
            {
                app.ua.handle_datagram(now, datagram.from, &datagram.bytes);
            }
        }
        if let Some(pbx) = &mut self.pbx {
            pbx.handle_timeout(now);
        }
        self.drain_pbx();
        for place in 0..self.apps.len() {
            self.app_is_due(place);
        }
        self.drain_link();
        Truth::look(self);
        while let Some(entry) = self.mail.first_entry().filter(|entry| entry.key().0 <= now) {
            let mail = entry.remove();
            self.deliver(mail);
        }
        if self.may_link() && self.link_retry <= now {
            self.connection += 1;
            let id = ManagerId(self.connection);
            if let Some(pbx) = &mut self.pbx {
                pbx.manager_connected(id);
            }
            self.link = Some(Link::new(now));
            self.drain_pbx();
            self.drain_link();
        }
    }

    fn make_commit(&mut self) {
        let Some((_, run, id, writes)) = self.commits.pop_front() else {
            return;
        };
        let ended: Vec<SessionId> = writes
            .iter()
            .filter_map(|write| match write {
                Write::Session(row) if matches!(row.state, SessionState::Ended(_)) => {
                    Some(row.id.clone())
                }
                _ => None,
            })
            .collect();
        let input = if self.make(writes) {
            Input::Committed(id)
        } else {
            Input::Failed(id, Failure::Unavailable)
        };
        if run != self.run || self.core.is_none() {
            return;
        }
        if matches!(input, Input::Committed(_)) {
            for session in ended {
                let latency = self.latency();
                self.post(latency, Mail::Ended(session));
            }
        }
        if let Some(core) = &mut self.core {
            core.handle(self.now, input);
        }
        self.drain_core();
    }

    pub(crate) fn drain_core(&mut self) {
        while let Some(output) = self.core.as_mut().and_then(Core::poll_output) {
            match output {
                Output::Commit(commit) => {
                    let last = self
                        .commits
                        .back()
                        .map_or(self.now.monotonic, |(at, ..)| *at);
                    let at = last.max(self.now.monotonic + self.latency());
                    self.commits
                        .push_back((at, self.run, commit.id, commit.writes));
                }
                Output::Reply(reply) => self.reply(reply),
                Output::Broadcast(broadcast) => {
                    check::broadcast(self, &broadcast);
                    let view = broadcast.agent;
                    let reasons: Vec<_> = view.reasons.iter().map(|r| r.code.as_str()).collect();
                    let words = format!(
                        "board: {} {} {}",
                        view.extension,
                        view.status.as_str(),
                        reasons.join(",")
                    );
                    self.tell(&words);
                    let said = self.said.entry(view.extension.clone()).or_default();
                    if said.last() != Some(&view.status) {
                        said.push(view.status);
                    }
                    self.board.insert(view.extension.clone(), view);
                }
                Output::Withdrawn(extension) => drop(self.board.remove(&extension)),
                Output::Ask(ask) => self.carry_out(ask),
            }
        }
    }

    fn reply(&mut self, reply: Reply) {
        let Some((app, session)) = self.asked.remove(&reply.request) else {
            return;
        };
        check::reply(self, &session, &reply.answer);
        match &reply.answer {
            Answer::Online(_) => drop(self.acked_online.insert(session.clone())),
            Answer::LoggedOut(_) | Answer::LoggingOut { .. } => {
                self.acked_out.insert(session.clone());
            }
            _ => {}
        }
        let latency = self.latency();
        self.post(
            latency,
            Mail::Answered(app, session, Box::new(reply.answer)),
        );
    }

    /// Over ARI at once; or by an expiry in the past, until the next check (F6).
    fn evict(&mut self, contact: &ContactRow) {
        let now = self.now.monotonic;
        let over_ari = self.rng.random_bool(0.5);
        let Some(pbx) = &mut self.pbx else {
            return;
        };
        let id = rollcall_ami::ContactId::new(contact.id.as_str());
        if over_ari {
            pbx.delete_contact(now, &id);
            self.drain_pbx();
        } else if self.mode == Mode::Shared {
            pbx.expire_row(&id);
        } else if let Some(link) = &mut self.link {
            let entry = r#"{"expiration_time":"1"}"#;
            let put = Action::db_put("registrar/contact", contact.id.as_str(), entry);
            link.act(now, put.unwrap());
            self.drain_link();
        }
    }

    fn carry_out(&mut self, ask: Ask) {
        if let Ask::Reregister { session } = ask {
            let latency = self.latency();
            return self.post(latency, Mail::Reregister(session));
        }
        let now = self.now.monotonic;
        let Some(link) = self.link.as_mut().filter(|link| link.ready) else {
            return;
        };
        match &ask {
            Ask::Resync { asked_at, .. } => link.read_lists(now, *asked_at),
            Ask::Evict { contact, reason } => {
                let words = format!("evict {} {}", contact.id.short_hash(), reason.as_str());
                self.tell(&words);
                return self.evict(contact);
            }
            Ask::HangUp { .. } => panic!("a call is ended for a repair (R6)"),
            other => {
                for action in repairs::actions(other).unwrap() {
                    link.act(now, action);
                }
            }
        }
        self.drain_link();
    }

    fn deliver(&mut self, mail: Mail) {
        match mail {
            Mail::SignIn(app, session) => {
                let (extension, device) = (
                    self.apps[app].extension.clone(),
                    self.apps[app].device.clone(),
                );
                if let Some(owner) = self.db.people.get(&extension).copied() {
                    let extension = extension.clone();
                    self.see(Observation::Person(Person { extension, owner }));
                }
                let sign_in = SignIn {
                    session: session.clone(),
                    extension,
                    device,
                };
                self.intend(app, session, Intent::SignIn(sign_in));
            }
            Mail::Online(app, session, contact_uri, take_over) => {
                let online = Intent::AgentOnline {
                    session: session.clone(),
                    extension: self.apps[app].extension.clone(),
                    contact_uri,
                    take_over,
                    key: None,
                };
                self.intend(app, session, online);
            }
            Mail::Logout(app, session, key) => {
                let logout = Intent::AgentLogout {
                    session: session.clone(),
                    device: None,
                    key: Some(key),
                };
                self.intend(app, session, logout);
            }
            Mail::Pause(app, session, begins) => {
                let pause = Intent::Pause(PauseIntent {
                    extension: self.apps[app].extension.clone(),
                    reason: begins.then(|| PauseReason::new("lunch").unwrap()),
                    by: session.clone(),
                    key: None,
                });
                self.intend(app, session, pause);
            }
            Mail::Opened(session, link) => self.see(Observation::LinkOpened { session, link }),
            Mail::Closed(session, link) => self.see(Observation::LinkClosed { session, link }),
            Mail::Beat(session, vitals) => self.see(Observation::Heartbeat { session, vitals }),
            Mail::Answered(app, session, answer) => self.app_hears(app, &session, &answer),
            Mail::Ended(session) => self.session_over(&session),
            Mail::Reregister(session) => {
                let now = self.now.monotonic;
                let of = |app: &&mut App| app.session.as_ref() == Some(&session) && app.acts();
                if let Some(app) = self.apps.iter_mut().find(of)
                    && app.hears_server()
                    && !app.ua.refresh(now)
                {
                    app.register(now);
                }
            }
            Mail::Begins(fault) => {
                self.tell(&format!("fault: {fault:?}"));
                fault.begin(self);
            }
            Mail::Ends(fault) => {
                self.tell(&format!("mended: {fault:?}"));
                fault.end(self);
            }
            Mail::ServerStarts => self.start_server(),
            Mail::Leaves(app) => self.apps[app].will = Will::Out,
        }
    }
}
