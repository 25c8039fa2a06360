//! Session timers (RFC 4028): a call whose other side is gone without a BYE ends by itself.

use std::time::{Duration, Instant};

use super::{CallId, Reply, UserAgent};
use crate::message::{Headers, HeadersView, Method, Request, Response};

/// The shortest interval that may be asked for (RFC 4028 section 5).
pub(super) const MIN_SE: Duration = Duration::from_secs(90);
/// Longest time by which the end of a session that nobody refreshed comes before its interval (section 10).
const EARLY_END: Duration = Duration::from_secs(32);
/// A refresh that something else stands in the way of is tried again after this.
const BUSY: Duration = Duration::from_secs(1);

/// The agreement on a call's refreshes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SessionTimer {
    interval: Duration,
    /// Whether we refresh; else the other side does.
    we_refresh: bool,
    /// When we refresh next; none while we do.
    refresh_at: Option<Instant>,
    /// When the call ends unless it was refreshed.
    expires_at: Instant,
}

impl SessionTimer {
    fn new(now: Instant, interval: Duration, we_refresh: bool) -> Self {
        // Shorter than is legal would let an answer end the call at once.
        let interval = interval.max(MIN_SE);
        Self {
            interval,
            we_refresh,
            refresh_at: we_refresh.then(|| now + interval / 2),
            expires_at: now + interval - EARLY_END.min(interval / 3),
        }
    }

    pub(super) fn due(&self) -> Instant {
        self.refresh_at
            .map_or(self.expires_at, |at| at.min(self.expires_at))
    }

    /// For the requests we send: in them it is us who are the UAC.
    fn value(&self) -> String {
        let refresher = if self.we_refresh { "uac" } else { "uas" };
        format!("{};refresher={refresher}", self.interval.as_secs())
    }
}

impl UserAgent {
    /// Asks for refreshes in an INVITE of ours.
    pub(super) fn ask_for_session_timer(&self, headers: &mut Headers) {
        if let Some(interval) = self.config.session_expires
            && headers.text("Session-Expires").is_none()
        {
            let interval = interval.max(MIN_SE).as_secs();
            headers.add("Session-Expires", interval.to_string());
            headers.add("Min-SE", MIN_SE.as_secs().to_string());
        }
    }

    /// Repeats the agreement in a re-INVITE or UPDATE of ours (section 7.4).
    pub(super) fn repeat_session_timer(&self, id: CallId, request: &mut Request) {
        let session = self.calls.get(id).and_then(|call| call.session);
        if let Some(session) = session {
            request.headers.add("Session-Expires", session.value());
            request.headers.add("Min-SE", MIN_SE.as_secs().to_string());
        }
    }

    /// Takes what the 2xx to our INVITE, re-INVITE or UPDATE agrees to (section 7.2).
    pub(super) fn agree_on_session_timer(&mut self, now: Instant, id: CallId, headers: &Headers) {
        let wants = self.config.session_expires.is_some();
        let agreed = interval_of(headers)
            .filter(|_| wants)
            .map(|(interval, refresher)| {
                SessionTimer::new(now, interval, refresher != Some(Side::Uas))
            });
        if let Some(call) = self.calls.get_mut(id) {
            call.session = agreed;
        }
    }

    /// Why an INVITE's or UPDATE's interval is refused (section 9).
    pub(super) fn refusal_of_interval(&self, request: &Request) -> Option<Reply> {
        self.config.session_expires?;
        let (interval, _) = interval_of(&request.headers)?;
        let is_short = interval < MIN_SE && request.headers.lists("Supported", "timer");
        is_short.then(|| Reply::new(422).with("Min-SE", MIN_SE.as_secs().to_string()))
    }

    /// Agrees in our 2xx to an INVITE, re-INVITE or UPDATE (section 9).
    pub(super) fn grant_session_timer(
        &mut self,
        now: Instant,
        id: CallId,
        request: &Request,
        reply: Reply,
    ) -> Reply {
        let refreshable = matches!(request.method, Method::Invite | Method::Update);
        let Some(ours) = self.config.session_expires.filter(|_| refreshable) else {
            return reply;
        };
        let supported = request.headers.lists("Supported", "timer");
        let asked = interval_of(&request.headers);
        let Some(call) = self.calls.get_mut(id) else {
            return reply;
        };
        if asked.is_none() && !supported {
            call.session = None;
            return reply;
        }
        let least = request.headers.seconds("Min-SE").unwrap_or(MIN_SE);
        let (interval, refresher) = asked.unwrap_or((ours, None));
        let interval = interval.min(ours).max(least).max(MIN_SE);
        let they_refresh = supported && refresher == Some(Side::Uac);
        let session = SessionTimer::new(now, interval, !they_refresh);
        call.session = Some(session);
        let refresher = if they_refresh { "uac" } else { "uas" };
        let value = format!("{};refresher={refresher}", interval.as_secs());
        let reply = reply.with("Session-Expires", value);
        match supported {
            true => reply.with("Require", "timer"),
            false => reply,
        }
    }

    /// Refreshes a session, or ends one that nobody refreshed.
    pub(super) fn run_session_timer(&mut self, now: Instant, id: CallId) {
        let Some(call) = self.calls.get_mut(id).filter(|call| !call.is_over()) else {
            return;
        };
        let (is_free, takes_update) = (call.is_free(), call.takes_update);
        let described = call.described.clone();
        let Some(session) = call.session.as_mut() else {
            return;
        };
        if session.expires_at <= now {
            return self.lose_call(now, id);
        }
        if session.refresh_at.is_none_or(|at| at > now) {
            return;
        }
        if !is_free {
            session.refresh_at = Some(now + BUSY);
            return;
        }
        session.refresh_at = None;
        match takes_update {
            true => self.begin_change(now, id, Method::Update, &[], true),
            false => self.begin_change(now, id, Method::Invite, &described, true),
        };
    }

    /// A refresh was refused: again after `wait`, or not before the session ends.
    pub(super) fn postpone_refresh(
        &mut self,
        now: Instant,
        id: CallId,
        response: &Response,
        wait: Option<Duration>,
    ) {
        let session = self
            .calls
            .get_mut(id)
            .and_then(|call| call.session.as_mut());
        let Some(session) = session else {
            return;
        };
        let least = response.headers.seconds("Min-SE");
        if let (422, Some(least)) = (response.status_code.code(), least)
            && least > session.interval
        {
            session.interval = least;
            session.refresh_at = Some(now);
        } else {
            session.refresh_at = wait.map(|wait| now + wait);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Uac,
    Uas,
}

/// Session-Expires and who refreshes.
fn interval_of(headers: &Headers) -> Option<(Duration, Option<Side>)> {
    let interval = headers.seconds("Session-Expires")?;
    let (_, params) = headers
        .text("Session-Expires")?
        .split_once(';')
        .unwrap_or_default();
    let refresher = params.split(';').find_map(|param| {
        let (name, value) = param.split_once('=')?;
        let is_refresher = name.trim().eq_ignore_ascii_case("refresher");
        is_refresher.then(|| value.trim().to_ascii_lowercase())
    });
    let refresher = match refresher.as_deref() {
        Some("uac") => Some(Side::Uac),
        Some("uas") => Some(Side::Uas),
        _ => None,
    };
    Some((interval, refresher))
}

/// Asks for at least this interval.
pub(super) fn raise(headers: &mut Headers, least: Duration) {
    let asked = headers.seconds("Session-Expires").unwrap_or(least);
    headers.set("Session-Expires", asked.max(least).as_secs().to_string());
    headers.set("Min-SE", least.as_secs().to_string());
}
