//! The SIP thread: commands, the SIP socket, timers, vitals; calls are in [`crate::calls`].

use std::future::pending;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use rollcall_sip::{Event, Failure, Refusals, RegistrationEvent};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::calls::Lines;
use crate::link::{Link, Reached, Unreached, reach};
use crate::resolve::Place;
use crate::sound::{Sound, SoundCommand, SoundReport};
use crate::transport::{Length, Received};
use crate::watch::Watches;
use crate::{Account, EngineConfig, FailureCode, PhoneCommand, PhoneEvent, Refused, Route, Vitals};

/// How long calls and the registration may take to end at shutdown.
const FAREWELL: Duration = Duration::from_secs(3);
/// How long the media thread may take to tell of the calls that ended.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// First and longest wait before a name is looked up again.
const LOOKUP_RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(32));
/// What to do about a telephone server that has trouble of its own.
const WAIT: &str = "The phone tries again by itself; if it lasts, tell your administrator.";
/// Largest SIP datagram.
const MAX_DATAGRAM: usize = 65_535;

/// Everything the SIP thread owns.
pub(crate) struct Driver {
    pub(crate) config: EngineConfig,
    pub(crate) sound: Sound,
    pub(crate) link: Option<Link>,
    pub(crate) lines: Lines,
    pub(crate) watches: Watches,
    events: mpsc::Sender<PhoneEvent>,
    /// An event found no room: who listens has not done so for long.
    unheard: bool,
    found: (mpsc::UnboundedSender<Found>, mpsc::UnboundedReceiver<Found>),
    /// The account whose registrar is being looked for.
    wanted: Option<Wanted>,
    registered: bool,
    /// Whether sound works both ways; unknown until the devices were opened once.
    available: Option<bool>,
    /// `Registering` was told before the user agent exists that would tell it too.
    told_registering: bool,
    /// The worst lateness of a timer since the last vitals.
    lateness: Duration,
    /// What the links of accounts before refused.
    refused: Refusals,
    farewell: Option<Instant>,
    /// Another address of ours that was seen once.
    moved_to: Option<IpAddr>,
}

/// What became of a search for the registrar, and of which one.
struct Found {
    generation: u64,
    result: Result<Reached, Unreached>,
}

struct Wanted {
    account: Account,
    generation: u64,
    failures: u32,
    retry_at: Option<Instant>,
    /// The place that was given up last.
    after: Option<Place>,
    /// To be taken from the registrar, or taken already.
    leaving: bool,
}

impl Driver {
    pub(crate) fn new(
        config: EngineConfig,
        sound: Sound,
        events: mpsc::Sender<PhoneEvent>,
    ) -> Self {
        Self {
            config,
            sound,
            link: None,
            lines: Lines::default(),
            watches: Watches::default(),
            events,
            unheard: false,
            found: mpsc::unbounded_channel(),
            wanted: None,
            registered: false,
            available: None,
            told_registering: false,
            lateness: Duration::ZERO,
            refused: Refusals::default(),
            farewell: None,
            moved_to: None,
        }
    }

    /// Runs until shutdown has ended.
    pub(crate) async fn run(
        mut self,
        mut commands: mpsc::UnboundedReceiver<PhoneCommand>,
        mut reports: mpsc::UnboundedReceiver<SoundReport>,
    ) {
        let mut vitals =
            tokio::time::interval(self.config.vitals_every.max(Duration::from_millis(10)));
        vitals.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut datagram = vec![0; MAX_DATAGRAM];
        while !self.has_said_farewell() {
            let due = self.due();
            tokio::select! {
                command = commands.recv(), if self.farewell.is_none() => {
                    self.obey(command.unwrap_or(PhoneCommand::Shutdown));
                }
                received = receive(self.link.as_mut(), &mut datagram) => {
                    self.receive(received, &datagram);
                }
                () = sleep_until(due) => self.run_timers(due),
                Some(found) = self.found.1.recv() => self.found(found),
                Some(report) = reports.recv() => self.hear(report),
                due = vitals.tick() => self.tell_vitals(due.into_std()),
            }
            self.settle().await;
            if self.unheard && self.farewell.is_none() {
                tracing::error!("nobody listens to the phone any more; it ends");
                self.obey(PhoneCommand::Shutdown);
            }
        }
        self.sound.ask(SoundCommand::Quit);
        self.hear_last(&mut reports).await;
        self.tell(PhoneEvent::Stopped);
    }

    /// The records of calls that ended with us: the media thread tells them before it ends.
    async fn hear_last(&mut self, reports: &mut mpsc::UnboundedReceiver<SoundReport>) {
        let deadline = tokio::time::Instant::now() + LAST_WORDS;
        while let Ok(Some(report)) = tokio::time::timeout_at(deadline, reports.recv()).await {
            if matches!(report, SoundReport::Over { .. }) {
                self.hear(report);
            }
        }
    }

    /// A reader that is slow misses vitals, and so lets its lease lapse; half of the room is for what must be heard.
    /// One that leaves even that to run over is gone: a phone that nobody can command takes no calls.
    pub(crate) fn tell(&mut self, event: PhoneEvent) {
        let is_slow = self.events.capacity() < self.events.max_capacity() / 2;
        if is_slow && matches!(event, PhoneEvent::Vitals(_) | PhoneEvent::Levels { .. }) {
            return;
        }
        // Closed is no matter: nobody listens any more, then nobody needs to know.
        if let Err(mpsc::error::TrySendError::Full(_)) = self.events.try_send(event) {
            self.unheard = true;
        }
    }

    pub(crate) fn is_registered(&self) -> bool {
        self.registered
    }

    fn obey(&mut self, command: PhoneCommand) {
        match command {
            PhoneCommand::Register(account) => self.register(account),
            PhoneCommand::Refresh => self.refresh(),
            PhoneCommand::MoveTo(address) => self.config.route = Route::through(address),
            PhoneCommand::Unregister => self.unregister(),
            PhoneCommand::Dial { call, target } => self.dial(call, &target),
            PhoneCommand::Answer(call) => self.answer(call),
            PhoneCommand::Decline(call) => self.refuse_incoming(call, 486),
            PhoneCommand::TurnAway(call) => self.refuse_incoming(call, 480),
            PhoneCommand::Hangup(call) => self.hang_up(call),
            PhoneCommand::Dtmf { call, digits } => self.press(call, digits),
            PhoneCommand::Hold(call) => self.hold(call, true),
            PhoneCommand::Resume(call) => self.hold(call, false),
            PhoneCommand::Transfer { call, target } => self.transfer(call, &target),
            PhoneCommand::Refer { call, refer_to } => self.refer(call, &refer_to),
            PhoneCommand::Connect { call, other } => self.connect(call, other),
            PhoneCommand::Subscribe(subject) => self.subscribe(subject),
            PhoneCommand::Unsubscribe(subject) => self.unsubscribe(&subject),
            PhoneCommand::SetMuted(muted) => self.sound.ask(SoundCommand::Mute(muted)),
            PhoneCommand::SetJoined(joined) => self.sound.ask(SoundCommand::Join(joined)),
            PhoneCommand::SetAudio(choice) => self.sound.ask(SoundCommand::Choose(choice)),
            PhoneCommand::Shutdown => {
                self.hang_up_all();
                self.end_watches();
                self.unregister();
                self.farewell = Some(Instant::now() + FAREWELL);
            }
        }
    }

    fn register(&mut self, account: Account) {
        let same = |link: &&mut Link| link.account == account;
        if let Some(link) = self.link.as_mut().filter(same)
            && link.ua.refresh(Instant::now())
        {
            if self.is_down() {
                self.look_up();
            }
            return;
        }
        self.close_link();
        let generation = self.wanted.as_ref().map_or(0, |wanted| wanted.generation) + 1;
        self.wanted = Some(Wanted {
            account,
            generation,
            failures: 0,
            retry_at: None,
            after: None,
            leaving: false,
        });
        self.look_up();
    }

    fn refresh(&mut self) {
        match &mut self.link {
            Some(link) if link.transports.is_up() => {
                link.ua.refresh(Instant::now());
            }
            Some(_) if self.wanted.as_ref().is_some_and(|wanted| !wanted.leaving) => self.look_up(),
            Some(_) => {}
            // The name service has failed so far; its answer may be another one now.
            None if self.wanted.as_ref().is_some_and(|w| w.retry_at.is_some()) => self.look_up(),
            None => {}
        }
    }

    fn unregister(&mut self) {
        let looking = self.wanted.as_mut().is_some_and(|wanted| {
            wanted.generation += 1; // an answer that is under way is for nobody
            wanted.leaving = true;
            wanted.retry_at.take().is_some() || self.link.is_none()
        });
        match &mut self.link {
            Some(link) => link.ua.unregister(Instant::now()),
            None if looking || self.farewell.is_none() => self.tell(PhoneEvent::Unregistered),
            None => {}
        }
    }

    /// Ends calls and registration of the account before, as far as that goes without waiting.
    fn close_link(&mut self) {
        self.hang_up_all();
        let Some(mut link) = self.link.take() else {
            return;
        };
        if std::mem::take(&mut self.registered) {
            link.ua.unregister(Instant::now());
        }
        link.flush_now();
        self.refused += link.ua.refusals();
        self.watches.forget_ids();
        self.end_all_lines();
    }

    /// Asks the name service beside the loop.
    fn look_up(&mut self) {
        if self.wanted.is_none() {
            return;
        }
        self.told_registering = true;
        // Told first: an answer may come at once.
        self.tell(PhoneEvent::Registering);
        let Some(wanted) = &mut self.wanted else {
            return;
        };
        wanted.retry_at = None;
        // Of several searches only the youngest counts.
        wanted.generation += 1;
        let (account, generation) = (wanted.account.clone(), wanted.generation);
        let (config, after) = (self.config.clone(), wanted.after.take());
        let found = self.found.0.clone();
        tokio::spawn(async move {
            let result = reach(&account, &config, after).await;
            let _ = found.send(Found { generation, result });
        });
    }

    fn found(&mut self, found: Found) {
        let Some(wanted) = self
            .wanted
            .as_mut()
            .filter(|wanted| wanted.generation == found.generation)
        else {
            return;
        };
        let account = wanted.account.clone();
        let before = self.link.as_ref().map(|link| (link.local, link.registrar));
        let (code, words) = match found.result {
            Ok(reached) => {
                let opened = match &mut self.link {
                    Some(link) => link.take_over(reached, &self.config),
                    None => Link::open(account, reached, &self.config).map(|mut link| {
                        link.ua.set_available(self.available.unwrap_or(true));
                        self.link = Some(link);
                    }),
                };
                match opened {
                    Ok(()) => {
                        wanted.failures = 0;
                        let now_at = self.link.as_ref().map(|link| link.registrar);
                        if let Some((local, registrar)) = before
                            && now_at == Some(registrar)
                        {
                            self.carry_calls_over(local);
                        }
                        return;
                    }
                    Err(words) => (
                        FailureCode::NoNetwork,
                        format!("This computer cannot reach the telephone server: {words}."),
                    ),
                }
            }
            Err(Unreached::NotFound(words)) => (
                FailureCode::RegistrarNotFound,
                format!(
                    "The telephone server {:?} was not found: {words}.",
                    wanted.account.registrar
                ),
            ),
            Err(Unreached::NoConnection(words)) => (
                FailureCode::RegistrarUnreachable,
                format!("There is no connection to the telephone server: {words}."),
            ),
        };
        let wait = self.look_up_later();
        self.tell_failure(code, words, Some(wait));
    }

    /// Plans the next search for the registrar, and says when it is.
    fn look_up_later(&mut self) -> Duration {
        let Some(wanted) = &mut self.wanted else {
            return Duration::ZERO;
        };
        let longest =
            (LOOKUP_RETRY.0 * 2u32.saturating_pow(wanted.failures.min(10))).min(LOOKUP_RETRY.1);
        // Spread, so that phones whose server restarts do not come back together (RFC 5626 section 4.5).
        let wait = longest.mul_f64(rand::random_range(0.5..=1.0));
        wanted.failures += 1;
        wanted.retry_at = Some(Instant::now() + wait);
        wait
    }

    /// The connection to the registrar is gone, and at the registrar our contact goes with it.
    fn lose_connection(&mut self, place: Place, words: &str) {
        if let Some(link) = &mut self.link {
            let now = Instant::now();
            link.ua
                .handle_transport_error(now, place.transport, place.address);
        }
        self.registered = false;
        if self.farewell.is_some() || self.wanted.as_ref().is_none_or(|wanted| wanted.leaving) {
            return;
        }
        let wait = self.look_up_later();
        let words = format!("The connection to the telephone server is lost: {words}.");
        self.tell_failure(FailureCode::RegistrarUnreachable, words, Some(wait));
    }

    /// The registrar at this place does not do: on to the next that its name stands for (RFC 3263 section 4.3).
    fn fail_over(&mut self, failure: &Failure) {
        let gives_up = match failure {
            Failure::TimedOut | Failure::Unreachable => true,
            Failure::Refused { code, .. } => matches!(code, 408 | 500..600),
            _ => false,
        };
        let (Some(link), Some(wanted)) = (&mut self.link, &mut self.wanted) else {
            return;
        };
        if !gives_up || wanted.leaving || link.failovers + 1 >= link.places {
            // All were tried: the user agent's own back-off, then the next round.
            link.failovers = 0;
            return;
        }
        link.failovers += 1;
        wanted.after = Some(link.place);
        wanted.retry_at = Some(Instant::now());
    }

    /// Once a second: the way to the registrar may lead through another of this computer's addresses.
    fn watch_network(&mut self) {
        let (Some(link), None) = (&self.link, self.config.bind) else {
            return;
        };
        let wants = self
            .wanted
            .as_ref()
            .is_some_and(|wanted| !wanted.leaving && wanted.retry_at.is_none());
        let local = self.config.route.towards(link.place.address).ok();
        let moved = local.filter(|local| *local != link.local && wants);
        // Seen twice, so that an interface that flaps does not make us dance.
        if moved.is_some() && std::mem::replace(&mut self.moved_to, moved) == moved {
            self.moved_to = None;
            tracing::info!("the network changed; the phone registers from its new address");
            self.look_up();
        } else if moved.is_none() {
            self.moved_to = None;
        }
    }

    fn due(&self) -> Option<Instant> {
        let sip = self.link.as_ref().and_then(|link| link.ua.poll_timeout());
        let lookup = self.wanted.as_ref().and_then(|wanted| wanted.retry_at);
        [sip, lookup, self.farewell].into_iter().flatten().min()
    }

    fn run_timers(&mut self, due: Option<Instant>) {
        let now = Instant::now();
        self.note_lateness(now, due);
        if self
            .wanted
            .as_ref()
            .and_then(|wanted| wanted.retry_at)
            .is_some_and(|at| at <= now)
        {
            self.look_up();
        }
        if let Some(link) = &mut self.link {
            link.ua.handle_timeout(now);
        }
    }

    fn receive(&mut self, received: std::io::Result<Received>, datagram: &[u8]) {
        let Some(link) = &mut self.link else {
            return;
        };
        let now = Instant::now();
        match received {
            Ok(Received::Message {
                transport,
                from,
                length,
            }) => {
                let bytes = match &length {
                    Length::InBuffer(length) => datagram.get(..*length).unwrap_or_default(),
                    Length::Own(bytes) => bytes,
                };
                link.ua.handle_message(now, transport, from, bytes);
            }
            Ok(Received::Failed {
                transport,
                destination,
            }) => link.ua.handle_transport_error(now, transport, destination),
            Ok(Received::Rerouted) => {
                tracing::info!("the way to this phone is another one; it registers anew");
                let local = link.local;
                link.ua.refresh(now);
                self.carry_calls_over(local);
            }
            Ok(Received::Down { place, words }) => self.lose_connection(place, &words),
            Ok(Received::Nothing) => {}
            Err(error) => tracing::debug!(%error, "SIP socket"),
        }
    }

    /// Carries out what the user agent wants sent and told, until it wants nothing more.
    async fn settle(&mut self) {
        loop {
            let Some(link) = &mut self.link else {
                return;
            };
            link.flush().await;
            let Some(event) = link.ua.poll_event() else {
                return;
            };
            self.handle_event(event);
        }
    }

    fn handle_event(&mut self, event: Event) {
        match event {
            Event::Registration(event) => self.handle_registration(event),
            event => self.handle_call_event(event),
        }
    }

    fn handle_registration(&mut self, event: RegistrationEvent) {
        match event {
            RegistrationEvent::Registering => {
                if !std::mem::take(&mut self.told_registering) && !self.is_down() {
                    self.tell(PhoneEvent::Registering);
                }
            }
            RegistrationEvent::Registered {
                contact,
                expires,
                registrar,
            } => {
                self.registered = true;
                self.told_registering = false;
                if let Some(link) = &mut self.link {
                    link.failovers = 0;
                    let answers = link.ua.is_outbound();
                    link.transports.set_answers_stun(answers);
                }
                self.tell(PhoneEvent::Registered {
                    contact,
                    expires,
                    registrar: registrar.to_string(),
                });
                self.begin_watches();
            }
            // Why there is no connection was told; that nothing can be sent without one is no news.
            RegistrationEvent::Failed {
                retry_in: Some(_), ..
            } if self.is_down() => {}
            RegistrationEvent::Failed { failure, retry_in } => {
                self.registered = false;
                self.fail_over(&failure);
                let words = self.words_for(&failure);
                let code = FailureCode::from(&failure);
                let next = match failure {
                    Failure::Refused { code: 500..600, .. } if retry_in.is_some() => WAIT,
                    _ => code.next_step(),
                };
                self.tell(PhoneEvent::RegistrationFailed {
                    code,
                    message: words,
                    next: next.to_owned(),
                    retry_in,
                });
            }
            RegistrationEvent::Unregistered => {
                self.registered = false;
                self.tell(PhoneEvent::Unregistered);
            }
        }
    }

    fn is_down(&self) -> bool {
        let link = self.link.as_ref();
        link.is_some_and(|link| !link.transports.is_up())
    }

    fn tell_failure(&mut self, code: FailureCode, message: String, retry_in: Option<Duration>) {
        self.tell(PhoneEvent::RegistrationFailed {
            code,
            message,
            next: code.next_step().to_owned(),
            retry_in,
        });
    }

    fn words_for(&self, failure: &Failure) -> String {
        let registrar = self
            .link
            .as_ref()
            .map(|link| link.account.registrar.as_str())
            .unwrap_or_default();
        match failure {
            Failure::TimedOut => format!("The telephone server {registrar} does not answer."),
            Failure::Unreachable => format!(
                "The telephone server {registrar} is not there: nothing listens at its address, or no way leads to it."
            ),
            Failure::WrongCredentials => {
                "The telephone server does not accept this phone's user name or password."
                    .to_owned()
            }
            Failure::Refused { code: 503, reason } => {
                format!("The telephone server is overloaded or under maintenance: {reason} (503).")
            }
            Failure::Refused { code, reason } => {
                format!("The telephone server refuses this phone: {reason} ({code}).")
            }
            Failure::ContactMissing => {
                "The telephone server said yes but did not store this phone's address.".to_owned()
            }
            Failure::UnusableChallenge(reason) => {
                format!(
                    "The telephone server asks for a password in a way this phone does not know: {reason}."
                )
            }
        }
    }

    fn hear(&mut self, report: SoundReport) {
        match report {
            SoundReport::Devices {
                microphone,
                speaker,
                problem,
            } => {
                self.set_available(microphone && speaker);
                if microphone || speaker {
                    self.tell(PhoneEvent::AudioReady {
                        microphone,
                        speaker,
                    });
                }
                if let Some(problem) = problem {
                    self.tell(PhoneEvent::AudioProblem {
                        code: problem.code(),
                        message: problem.to_string(),
                    });
                }
            }
            SoundReport::CallFailed { call, message } => self.fail_call(call, message),
            SoundReport::SpeakingMuted => self.tell(PhoneEvent::SpeakingMuted),
            SoundReport::Levels(levels) => self.tell(PhoneEvent::Levels {
                microphone: levels.microphone,
                speaker: levels.speaker,
            }),
            SoundReport::InUse(in_use) => self.tell(PhoneEvent::AudioDevices {
                microphone: in_use.microphone,
                speaker: in_use.speaker,
                stands_in: in_use.stands_in,
            }),
            SoundReport::Over {
                call,
                quality,
                devices,
            } => {
                self.tell(PhoneEvent::Quality {
                    call,
                    quality,
                    devices,
                });
            }
            SoundReport::Digit { call, digit } => self.hear_digit(call, digit),
        }
    }

    fn set_available(&mut self, available: bool) {
        self.available = Some(available);
        if let Some(link) = &mut self.link {
            link.ua.set_available(available);
        }
    }

    fn note_lateness(&mut self, now: Instant, due: Option<Instant>) {
        let late = due.map_or(Duration::ZERO, |due| now.saturating_duration_since(due));
        self.lateness = self.lateness.max(late);
    }

    fn tell_vitals(&mut self, due: Instant) {
        let now = Instant::now();
        self.watch_network();
        self.note_lateness(now, Some(due));
        let pulse = self.sound.pulse();
        let vitals = Vitals {
            tick: pulse.tick(),
            sip_loop_late: std::mem::take(&mut self.lateness),
            audio_loop_age: pulse.age(now),
            microphone_ok: pulse.microphone_ok(),
            speaker_ok: pulse.speaker_ok(),
            registered: self.registered,
            calls: self.lines.len(),
            tasks: Handle::current().metrics().num_alive_tasks() + pulse.tasks(),
            refused: self.refused_so_far(),
        };
        if self.available.is_some() {
            self.set_available(vitals.microphone_ok && vitals.speaker_ok);
        }
        self.tell(PhoneEvent::Vitals(vitals));
    }

    fn refused_so_far(&self) -> Refused {
        let mut sip = self.refused;
        sip += self
            .link
            .as_ref()
            .map_or_else(Refusals::default, |link| link.ua.refusals());
        Refused {
            sip,
            rtp: self.sound.pulse().rtp_refusals(),
        }
    }

    fn has_said_farewell(&self) -> bool {
        let settled = self.link.as_ref().is_none_or(|link| link.ua.is_settled());
        self.farewell
            .is_some_and(|deadline| settled || deadline <= Instant::now())
    }
}

async fn receive(link: Option<&mut Link>, buffer: &mut [u8]) -> std::io::Result<Received> {
    match link {
        Some(link) => link.transports.receive(buffer).await,
        None => pending().await,
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => pending().await,
    }
}
