//! What the apps and their people do in their turn, and what they make of answers.

use std::time::Duration;

use rand::Rng;
use rollcall_alignment::*;

use crate::app::{App, Will};
use crate::check;
use crate::world::{Mail, SECOND, World};

/// How likely somebody at work asks for a pause, or for its end, in a second.
const PAUSES: f64 = 0.01;
/// The same for a call to somebody, while nobody minds what is shown.
const CALLS: f64 = 0.02;

impl World {
    pub(crate) fn app_is_due(&mut self, place: usize) {
        let now = self.now.monotonic;
        let app = &mut self.apps[place];
        let heard = app.acts() && app.hears_server() && app.link.is_some();
        let silent = &mut self.silent[place];
        *silent = if heard { None } else { silent.or(Some(now)) };
        if !app.acts() {
            return;
        }
        if app.ua.poll_timeout().is_some_and(|due| due <= now) {
            app.ua.handle_timeout(now);
        }
        app.hear_phone(now);
        app.talk(now);
        if app.turn <= now {
            app.turn = now + SECOND;
            self.app_turns(place);
        }
        let app = &mut self.apps[place];
        while let Some(transmit) = app.ua.poll_transmit() {
            if app.network && app.to_pbx {
                let bytes = transmit.bytes.to_vec();
                self.network
                    .send(now, app.address, transmit.destination, bytes);
            }
        }
        check::no_stale_green(self);
    }

    /// Once a second: what the app does by itself.
    fn app_turns(&mut self, place: usize) {
        let now = self.now.monotonic;
        let server = self.core.is_some();
        let latency = self.latency();
        let app = &mut self.apps[place];
        app.tick += 1;
        let wants_phone = app.will == Will::In;
        if wants_phone && !app.registered && app.ua.is_quiet() {
            app.register(now);
        } else if !wants_phone && app.registered && app.call.is_none() {
            app.ua.unregister(now);
        }
        if app.desk {
            return;
        }
        if app.link.is_some() && (!app.hears_server() || !server) {
            let (session, link) = (app.session.clone(), app.link.take());
            if let (Some(session), Some(link)) = (session, link) {
                self.post(5 * SECOND, Mail::Closed(session, link));
            }
            return;
        }
        if !app.hears_server() || !server {
            return;
        }
        match app.will {
            Will::In => self.app_works(place, latency),
            Will::Out => self.app_leaves(place, latency),
        }
    }

    fn app_works(&mut self, place: usize, latency: Duration) {
        let app = &mut self.apps[place];
        let Some(session) = app.session.clone() else {
            self.next_session += 1;
            let session = SessionId::new(&format!("s{}", self.next_session)).unwrap();
            app.session = Some(session.clone());
            return self.post(latency, Mail::SignIn(place, session));
        };
        if !app.signed_in {
            if app.tick.is_multiple_of(3) {
                self.post(latency, Mail::SignIn(place, session));
            }
            return;
        }
        if app.link.is_none() {
            self.next_link += 1;
            let link = LinkId(self.next_link);
            app.link = Some(link);
            return self.post(latency, Mail::Opened(session, link));
        }
        if app.tick.is_multiple_of(5) {
            let vitals = Vitals {
                tick: app.tick,
                sip_loop_ok: true,
                audio_loop_ok: true,
                microphone_ok: app.microphone,
                registered: Some(app.registered),
            };
            self.post(latency, Mail::Beat(session.clone(), vitals));
        }
        if self.apps[place].online
            && self.apps[place].call.is_none()
            && !self.calm
            && self.rng.random_bool(CALLS)
        {
            self.somebody_calls(place);
        }
        if self.apps[place].online && !self.calm && self.rng.random_bool(PAUSES) {
            let begins = self.rng.random_bool(0.5);
            self.post(latency, Mail::Pause(place, session.clone(), begins));
        }
        let app = &self.apps[place];
        if (app.registered || app.hasty) && !app.online && app.tick.is_multiple_of(2) {
            let uri = app.ua.contact_uri();
            let take_over = app.takes_over || app.run % 2 == 1;
            self.post(latency, Mail::Online(place, session, uri, take_over));
        }
    }

    fn app_leaves(&mut self, place: usize, latency: Duration) {
        let app = &mut self.apps[place];
        let Some(session) = app.session.clone() else {
            return;
        };
        if !app.signed_in {
            app.session = None;
            return;
        }
        let again = app.tick.is_multiple_of(4) || app.leaving.is_none();
        let key = app
            .leaving
            .get_or_insert_with(|| IdempotencyKey::new(&format!("out-{session}")).unwrap())
            .clone();
        if again {
            self.post(latency, Mail::Logout(place, session, key));
        }
    }

    /// To a colleague, or to hear themself.
    fn somebody_calls(&mut self, place: usize) {
        let numbers = ["1001", "1002", "1003", "600"];
        let number = numbers[self.rng.random_range(0..numbers.len())];
        let lasts = Duration::from_secs(self.rng.random_range(1..30));
        let app = &mut self.apps[place];
        if app.extension.as_str() != number {
            app.dial(self.now.monotonic, number, lasts);
            let words = format!("{} calls {number}", app.extension);
            self.tell(&words);
        }
    }

    pub(crate) fn app_hears(&mut self, place: usize, session: &SessionId, answer: &Answer) {
        let app = &mut self.apps[place];
        if !app.acts() || !app.hears_server() || app.session.as_ref() != Some(session) {
            return;
        }
        match answer {
            Answer::SignedIn => app.signed_in = true,
            Answer::Online(_) => app.online = true,
            Answer::LoggedOut(_) | Answer::LoggingOut { .. } => self.session_over(session),
            // Its token is no good any more, or it is in use elsewhere: the person is told.
            Answer::Refused(
                Refusal::UnknownSession
                | Refusal::SessionEnded
                | Refusal::UnknownExtension
                | Refusal::InUse,
            ) => {
                app.will = Will::Out;
                if app.leaving.is_some() || !app.signed_in {
                    self.session_over(session);
                }
            }
            Answer::Refused(_) | Answer::Proof(_) | Answer::Pause(_) => {}
        }
    }

    /// The app hears, now or when it asks, that its session is over.
    pub(crate) fn session_over(&mut self, session: &SessionId) {
        let of = |app: &&mut App| app.session.as_ref() == Some(session);
        let Some(app) = self.apps.iter_mut().find(of) else {
            return;
        };
        let link = app.link.take();
        app.session = None;
        (app.signed_in, app.online, app.leaving) = (false, false, None);
        app.will = Will::Out;
        if let Some(link) = link {
            self.post(
                Duration::from_millis(20),
                Mail::Closed(session.clone(), link),
            );
        }
    }
}
