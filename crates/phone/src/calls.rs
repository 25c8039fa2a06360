//! The engine's calls: SIP's events on one side, SDP, RTP sockets and sound on the other.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Instant;

use bytes::Bytes;
use rollcall_media::dtmf::Digit;
use rollcall_media::sdp::{self, Direction, Local, Negotiated, SdpError, Security};
use rollcall_media::srtp::Policy;
use rollcall_sip::message::{HeadersView, Request, Uri, uri_text};
use rollcall_sip::{CallId, EndReason, Event, InviteRequest, Reply};

use crate::driver::Driver;
use crate::hold::Hold;
use crate::info;
use crate::ports::MediaSockets;
use crate::sound::{Cue, SoundCommand};
use crate::{CallEnd, CallRef, Codec, DtmfMode, EndKind, PhoneEvent, Target};

/// The calls of an engine by both of their names.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    lines: HashMap<CallId, Line>,
}

/// One call.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) call: CallRef,
    phase: Phase,
    /// The bound sockets, until the media thread takes them.
    pub(crate) rtp: Option<MediaSockets>,
    pub(crate) local: Local,
    /// What was agreed on, once it was.
    pub(crate) negotiated: Option<Negotiated>,
    /// Whether the sound that flows is encrypted; none before any does.
    encrypted: Option<bool>,
    pub(crate) hold: Hold,
    /// What we would describe now is not what the other side was told: our address is another one, or our offer was void.
    pub(crate) untold: bool,
    /// The offer that came with the call.
    invited: Bytes,
    /// Our SDP for the 200, made when the call came in.
    prepared: Bytes,
    /// We offered in a 200 and the answer comes with ACK.
    awaits_answer: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Incoming,
    Dialing,
    Ringing,
    EarlyMedia,
    Answered,
}

impl Lines {
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(crate) fn get_mut(&mut self, id: CallId) -> Option<&mut Line> {
        self.lines.get_mut(&id)
    }

    /// The call of this name, if it is answered.
    pub(crate) fn answered(&self, call: CallRef) -> Option<CallId> {
        let (id, phase) = self.find(call)?;
        (phase == Phase::Answered).then_some(id)
    }

    pub(crate) fn all(&self) -> Vec<(CallId, Phase)> {
        let lines = self.lines.iter();
        lines.map(|(id, line)| (*id, line.phase)).collect()
    }

    pub(crate) fn insert_dialing(
        &mut self,
        id: CallId,
        call: CallRef,
        rtp: MediaSockets,
        local: Local,
    ) {
        let line = Line::new(call, Phase::Dialing, rtp, local);
        self.lines.insert(id, line);
    }

    fn find(&self, call: CallRef) -> Option<(CallId, Phase)> {
        self.lines
            .iter()
            .find(|(_, line)| line.call == call)
            .map(|(id, line)| (*id, line.phase))
    }

    fn cue(&self) -> Option<Cue> {
        let phases: Vec<Phase> = self.lines.values().map(|line| line.phase).collect();
        cue_of(&phases)
    }
}

/// Ringing while somebody calls, and a tone in the ear of who talks already; ring-back while the other phone rings without
/// sound of its own.
fn cue_of(phases: &[Phase]) -> Option<Cue> {
    let any = |phase| phases.contains(&phase);
    match () {
        () if any(Phase::Answered) => any(Phase::Incoming).then_some(Cue::Waiting),
        () if any(Phase::EarlyMedia) => None,
        () if any(Phase::Incoming) => Some(Cue::Ringing),
        () if any(Phase::Ringing) => Some(Cue::RingBack),
        () => None,
    }
}

/// What answers a session description that cannot be used.
fn unusable(error: &SdpError) -> Reply {
    Reply::because(error.status(), error.to_string())
}

impl Driver {
    pub(crate) fn dial(&mut self, call: CallRef, target: &str) {
        match self.invite(call, target) {
            Ok(()) => self.tell(PhoneEvent::Dialing { call }),
            Err(message) => {
                let end = CallEnd {
                    kind: EndKind::Failed,
                    sip_code: None,
                    message,
                };
                self.tell(PhoneEvent::Ended { call, end });
            }
        }
    }

    pub(crate) fn answer(&mut self, call: CallRef) {
        if let Some((id, Phase::Incoming)) = self.lines.find(call) {
            self.answer_line(id);
        }
    }

    pub(crate) fn refuse_incoming(&mut self, call: CallRef, code: u16) {
        if let (Some((id, Phase::Incoming)), Some(link)) = (self.lines.find(call), &mut self.link) {
            link.ua.reject(Instant::now(), id, code);
        }
    }

    pub(crate) fn hang_up(&mut self, call: CallRef) {
        if let (Some((id, _)), Some(link)) = (self.lines.find(call), &mut self.link) {
            link.ua.hangup(Instant::now(), id);
        }
    }

    pub(crate) fn press(&mut self, call: CallRef, digits: Vec<Digit>) {
        let Some((id, phase)) = self.lines.find(call) else {
            return;
        };
        match (self.config.dtmf, &mut self.link) {
            (DtmfMode::Info, Some(link)) if phase == Phase::Answered => {
                for digit in digits {
                    let body = info::relay(digit).into();
                    link.ua.info(Instant::now(), id, info::RELAY, body);
                }
            }
            _ => self.sound.ask(SoundCommand::Press { call: id, digits }),
        }
    }

    pub(crate) fn hear_digit(&mut self, id: CallId, digit: Digit) {
        if let Some(line) = self.lines.lines.get(&id) {
            let call = line.call;
            self.tell(PhoneEvent::DtmfReceived { call, digit });
        }
    }

    pub(crate) fn hang_up_all(&mut self) {
        let ids: Vec<CallId> = self.lines.lines.keys().copied().collect();
        if let Some(link) = &mut self.link {
            for id in ids {
                link.ua.hangup(Instant::now(), id);
            }
        }
    }

    /// Tells the end of every call without waiting for the other side.
    pub(crate) fn end_all_lines(&mut self) {
        let ids: Vec<CallId> = self.lines.lines.keys().copied().collect();
        for id in ids {
            self.end_line(id, end_of(EndReason::Local));
        }
    }

    /// The media thread cannot go on with a call.
    pub(crate) fn fail_call(&mut self, id: CallId, message: String) {
        if let Some(link) = &mut self.link {
            link.ua.hangup(Instant::now(), id);
        }
        self.end_line(
            id,
            CallEnd {
                kind: EndKind::Failed,
                sip_code: None,
                message,
            },
        );
    }

    pub(crate) fn handle_call_event(&mut self, event: Event) {
        match event {
            Event::Incoming {
                call,
                request,
                replaces,
                ..
            } => self.handle_incoming(call, &request, replaces.is_some()),
            Event::Progress { call, code, sdp } => self.handle_progress(call, code, &sdp),
            Event::Answered { call, sdp } => self.handle_answered(call, &sdp),
            Event::Confirmed { call, sdp } => self.handle_confirmed(call, &sdp),
            Event::Offer { call, sdp } => self.handle_offer(call, &sdp),
            Event::Ended { call, reason } => self.end_line(call, end_of(reason)),
            Event::OfferAnswered { call, sdp } => self.handle_offer_answered(call, &sdp),
            Event::OfferRefused { call, code } => self.handle_offer_refused(call, code),
            Event::OfferDue { call } => self.handle_offer_due(call),
            Event::Transfer {
                call,
                code,
                is_final,
            } => self.handle_transfer(call, code, is_final),
            Event::Referred {
                call,
                target,
                replaces,
                ..
            } => self.handle_referral(call, target, replaces),
            Event::Redirected { call, target } => self.handle_redirected(call, &target),
            Event::InfoRefused { call, code } => self.handle_info_refused(call, code),
            Event::InDialog {
                call,
                content_type,
                body,
                ..
            } => self.handle_info(call, &content_type, &body),
            Event::Notified {
                subscription,
                package,
                body,
                ..
            } => self.handle_notified(subscription, &package, &body),
            Event::Unsubscribed { subscription, code } => {
                self.handle_unsubscribed(subscription, code);
            }
            Event::Request { .. } | Event::Outgoing { .. } | Event::Registration(_) => {}
        }
        self.sound.set_cue(self.lines.cue());
    }

    fn invite(&mut self, call: CallRef, target: &str) -> Result<(), String> {
        let registered = self.is_registered();
        let codecs = self.config.codecs.clone();
        let Some(link) = self.link.as_mut().filter(|_| registered) else {
            return Err("The phone is not registered with the telephone server.".to_owned());
        };
        let target = Target::parse(target).and_then(|target| target.uri(&link.host));
        let target = target.map_err(|error| format!("{error}."))?;
        let (rtp, local) = bind_rtp(link.local, self.config.srtp)?;
        let invite = InviteRequest {
            target,
            destination: link.registrar,
            from: link.identity()?,
            offer: sdp::offer(&local, &codecs, Direction::SendRecv).into(),
            credentials: Some(link.account.credentials.clone()),
            headers: Vec::new(),
        };
        let id = link.ua.invite(Instant::now(), invite);
        self.lines.insert_dialing(id, call, rtp, local);
        Ok(())
    }

    /// Answers with media ready, or refuses at once what we could never talk over.
    fn handle_incoming(&mut self, id: CallId, request: &Request, replaces: bool) {
        let codecs = self.config.codecs.clone();
        let Some(link) = &mut self.link else {
            return;
        };
        let bound = bind_rtp(link.local, self.config.srtp);
        let Ok((rtp, local)) = bound else {
            return link.ua.reject(Instant::now(), id, 503);
        };
        let mut line = Line::new(CallRef::fresh(), Phase::Incoming, rtp, local);
        line.invited = request.body.clone().into();
        if let Err(error) = line.prepare(&codecs) {
            tracing::info!(%error, "refused a call");
            return link.ua.reject(Instant::now(), id, unusable(&error));
        }
        let call = line.call;
        self.lines.lines.insert(id, line);
        let from = request.headers.from_view().ok();
        self.tell(PhoneEvent::Incoming {
            call,
            from_display: from
                .as_ref()
                .and_then(|from| from.display.clone())
                .unwrap_or_default(),
            from_uri: from.map(|from| uri_text(&from.uri)).unwrap_or_default(),
        });
        // One that takes the place of a call going on is for whoever answered that.
        if self.config.auto_answer || replaces {
            self.answer_line(id);
        } else if let Some(link) = &mut self.link {
            link.ua.ring(Instant::now(), id, None);
        }
    }

    fn answer_line(&mut self, id: CallId) {
        let (Some(line), Some(link)) = (self.lines.lines.get_mut(&id), &mut self.link) else {
            return;
        };
        line.phase = Phase::Answered;
        link.ua.answer(Instant::now(), id, line.prepared.clone());
        if !line.awaits_answer {
            self.open_sound(id);
            self.tell_answered(id);
        }
        self.sound.set_cue(self.lines.cue());
    }

    fn handle_progress(&mut self, id: CallId, code: u16, answer: &[u8]) {
        let codecs = &self.config.codecs;
        let Some(line) = self.lines.lines.get_mut(&id) else {
            return;
        };
        let call = line.call;
        // A 183 whose SDP cannot be used is no reason to end a call that may still be answered.
        let early = sdp::accept(answer, &line.local, codecs, Direction::SendRecv)
            .ok()
            .filter(|_| !answer.is_empty());
        match early {
            Some(negotiated) => {
                let is_news = line.phase != Phase::EarlyMedia;
                line.phase = Phase::EarlyMedia;
                line.negotiated = Some(negotiated);
                self.open_sound(id);
                if is_news {
                    self.tell(PhoneEvent::EarlyMedia { call });
                }
            }
            None if code == 180 && line.phase == Phase::Dialing => {
                line.phase = Phase::Ringing;
                self.tell(PhoneEvent::Ringing { call });
            }
            None => {}
        }
    }

    fn handle_answered(&mut self, id: CallId, answer: &[u8]) {
        let codecs = &self.config.codecs;
        let Some(line) = self.lines.lines.get_mut(&id) else {
            return;
        };
        line.phase = Phase::Answered;
        let agreed = match (answer.is_empty(), &line.negotiated) {
            // The answer came with early media already (RFC 3264 section 4).
            (true, Some(early)) => Ok(early.clone()),
            _ => sdp::accept(answer, &line.local, codecs, Direction::SendRecv),
        };
        match agreed {
            Ok(negotiated) => {
                line.negotiated = Some(negotiated);
                self.open_sound(id);
                self.tell_answered(id);
            }
            Err(error) => self.end_for_sdp(id, &error),
        }
    }

    fn handle_confirmed(&mut self, id: CallId, answer: &[u8]) {
        let codecs = &self.config.codecs;
        let Some(line) = self
            .lines
            .lines
            .get_mut(&id)
            .filter(|line| line.awaits_answer)
        else {
            return;
        };
        line.awaits_answer = false;
        let is_first = line.negotiated.is_none();
        match sdp::accept(answer, &line.local, codecs, Direction::SendRecv) {
            Ok(negotiated) => {
                line.negotiated = Some(negotiated);
                self.open_sound(id);
                if is_first {
                    self.tell_answered(id);
                }
            }
            Err(error) => self.end_for_sdp(id, &error),
        }
    }

    /// A re-INVITE or UPDATE: hold, another address, another codec.
    fn handle_offer(&mut self, id: CallId, offer: &[u8]) {
        let codecs = self.config.codecs.clone();
        let (Some(line), Some(link)) = (self.lines.lines.get_mut(&id), &mut self.link) else {
            return;
        };
        line.local.session_version += 1;
        if offer.is_empty() {
            line.awaits_answer = true;
            let offer = sdp::offer(&line.local, &codecs, line.hold.direction());
            return link.ua.answer_offer(Instant::now(), id, offer.into());
        }
        match sdp::answer(offer, &line.local, &codecs, line.hold.direction()) {
            Ok((answer, negotiated)) => {
                link.ua.answer_offer(Instant::now(), id, answer.into());
                let was_held = line.is_held_by_other();
                line.negotiated = Some(negotiated);
                let (call, held) = (line.call, line.is_held_by_other());
                self.open_sound(id);
                if held != was_held {
                    self.tell(PhoneEvent::HeldByOther { call, held });
                }
            }
            Err(error) => {
                tracing::info!(%error, "refused a change of the session");
                link.ua.refuse_offer(Instant::now(), id, unusable(&error));
            }
        }
    }

    fn handle_redirected(&mut self, id: CallId, target: &Uri) {
        if let Some(call) = self.lines.get_mut(id).map(|line| line.call) {
            let target = uri_text(target);
            self.tell(PhoneEvent::Redirected { call, target });
        }
    }

    /// Keys pressed at the other side that come as INFO, as some PBXs send them.
    fn handle_info(&mut self, id: CallId, content_type: &str, body: &[u8]) {
        if let Some(digit) = info::digit_of(content_type, body) {
            self.hear_digit(id, digit);
        }
    }

    fn handle_info_refused(&mut self, id: CallId, code: u16) {
        if let Some(call) = self.lines.get_mut(id).map(|line| line.call) {
            self.refuse(
                call,
                &format!("The other side takes no keys by INFO ({code})."),
            );
        }
    }

    /// Starts the call's sound, or changes it to what was agreed on last.
    pub(crate) fn open_sound(&mut self, id: CallId) {
        let Some(line) = self.lines.lines.get_mut(&id) else {
            return;
        };
        let Some(mut negotiated) = line.negotiated.clone() else {
            return;
        };
        if line.hold.rests() {
            negotiated.direction = Direction::Inactive;
        }
        let (call, encrypted) = (line.call, negotiated.srtp.is_some());
        let before = line.encrypted.replace(encrypted);
        self.sound.ask(match line.rtp.take() {
            Some(sockets) => SoundCommand::Start {
                call: id,
                sockets,
                negotiated,
            },
            None => SoundCommand::Update {
                call: id,
                negotiated,
            },
        });
        if before.is_some_and(|before| before != encrypted) {
            self.tell(PhoneEvent::Encryption { call, encrypted });
        }
    }

    fn tell_answered(&mut self, id: CallId) {
        let line = self.lines.lines.get(&id);
        let agreed = line.and_then(|line| Some((line.call, line.negotiated.as_ref()?.codec)));
        if let Some((call, codec)) = agreed {
            self.tell(PhoneEvent::Answered { call, codec });
        }
    }

    /// The other side's SDP answer cannot be used: the call is up, so it takes a BYE.
    pub(crate) fn end_for_sdp(&mut self, id: CallId, error: &sdp::SdpError) {
        if let Some(link) = &mut self.link {
            link.ua.hangup(Instant::now(), id);
        }
        let message = format!("The other side answered in a way that gives no sound: {error}.");
        self.end_line(
            id,
            CallEnd {
                kind: EndKind::NoCommonCodec,
                sip_code: None,
                message,
            },
        );
    }

    /// Tells the end of a call, once.
    fn end_line(&mut self, id: CallId, end: CallEnd) {
        let last_tone = match (self.lines.lines.get(&id), end.kind) {
            (Some(line), kind) if line.phase.is_outgoing() => kind.tone(),
            _ => None,
        };
        if let Some(line) = self.lines.lines.remove(&id) {
            let call = line.call;
            self.sound.ask(SoundCommand::Stop { id, call });
            self.tell(PhoneEvent::Ended {
                call: line.call,
                end,
            });
        }
        self.sound.set_cue(self.lines.cue());
        if let Some(cue) = last_tone.filter(|_| self.lines.len() == 0) {
            self.sound.play_once(cue);
        }
    }
}

impl Phase {
    /// We called, and nobody has answered yet.
    fn is_outgoing(self) -> bool {
        matches!(self, Phase::Dialing | Phase::Ringing | Phase::EarlyMedia)
    }
}

impl EndKind {
    /// What the caller hears of it: busy where a person or a phone says no, congestion where the call got nowhere.
    fn tone(self) -> Option<Cue> {
        match self {
            Self::Busy | Self::Declined => Some(Cue::Busy),
            Self::NotFound
            | Self::Unavailable
            | Self::Refused
            | Self::NoCommonCodec
            | Self::TimedOut => Some(Cue::Congestion),
            _ => None,
        }
    }
}

impl Line {
    fn new(call: CallRef, phase: Phase, rtp: MediaSockets, local: Local) -> Self {
        Self {
            call,
            phase,
            rtp: Some(rtp),
            local,
            negotiated: None,
            encrypted: None,
            invited: Bytes::new(),
            prepared: Bytes::new(),
            awaits_answer: false,
            hold: Hold::default(),
            untold: false,
        }
    }

    /// Makes what our 200 will say, from where we are.
    pub(crate) fn prepare(&mut self, codecs: &[Codec]) -> Result<(), sdp::SdpError> {
        if self.invited.is_empty() {
            self.prepared = sdp::offer(&self.local, codecs, Direction::SendRecv).into();
            self.awaits_answer = true;
            return Ok(());
        }
        let (answer, negotiated) =
            sdp::answer(&self.invited, &self.local, codecs, Direction::SendRecv)?;
        self.prepared = answer.into();
        self.negotiated = Some(negotiated);
        Ok(())
    }

    pub(crate) fn is_held_by_other(&self) -> bool {
        let agreed = self.negotiated.as_ref();
        agreed.is_some_and(|agreed| !agreed.direction.sends())
    }
}

/// A call's ports, and how its descriptions begin.
pub(crate) fn bind_rtp(local: IpAddr, policy: Policy) -> Result<(MediaSockets, Local), String> {
    let (sockets, address) = MediaSockets::bind(local)?;
    let session_id = u64::from(rand::random::<u32>());
    let security = Security::new(policy, &mut rand::rng());
    let local = Local::new(address, session_id).secured(security);
    Ok((sockets, local))
}

fn end_of(reason: EndReason) -> CallEnd {
    let (kind, sip_code, message) = match reason {
        EndReason::Local => (EndKind::Local, None, "You ended the call.".to_owned()),
        EndReason::Remote => (EndKind::Remote, None, "The other side hung up.".to_owned()),
        EndReason::Cancelled => (EndKind::Missed, None, "The caller gave up.".to_owned()),
        EndReason::TimedOut => (
            EndKind::TimedOut,
            None,
            "The telephone server did not answer the call.".to_owned(),
        ),
        EndReason::Unreachable => (
            EndKind::Failed,
            None,
            "The telephone server is not there: nothing listens at its address.".to_owned(),
        ),
        EndReason::Replaced => (
            EndKind::Remote,
            None,
            "Somebody else took the call over.".to_owned(),
        ),
        EndReason::Lost => (
            EndKind::TimedOut,
            None,
            "The other side could no longer be reached.".to_owned(),
        ),
        EndReason::Refused {
            code,
            reason,
            response,
        } => {
            let (kind, words) = refusal(code);
            let mut words = match words.is_empty() {
                true => format!("The call was refused: {reason} ({code})."),
                false => words,
            };
            // RFC 3261 section 20.33; in a 486 it is when the other side is free again.
            if let Some(after) = response.headers.seconds("Retry-After") {
                words += &format!(" Try again in {} s.", after.as_secs().max(1));
            }
            (kind, Some(code), words)
        }
    };
    CallEnd {
        kind,
        sip_code,
        message,
    }
}

impl CallEnd {
    /// What a SIP response of 300 and above says to whoever called, or handed a call on.
    pub fn refused(code: u16) -> Self {
        let (kind, words) = refusal(code);
        let message = match words.is_empty() {
            true => format!("The call was refused (SIP {code})."),
            false => words,
        };
        CallEnd {
            kind,
            sip_code: Some(code),
            message,
        }
    }
}

fn refusal(code: u16) -> (EndKind, String) {
    let (kind, words) = match code {
        486 | 600 => (EndKind::Busy, "The other side is busy."),
        603 | 607 => (EndKind::Declined, "The other side declined the call."),
        404 | 410 | 484 | 604 => (EndKind::NotFound, "Nobody has this number."),
        408 | 480 => (EndKind::Unavailable, "Nobody answers at this number."),
        488 | 606 => (
            EndKind::NoCommonCodec,
            "There is no sound format that both sides can use.",
        ),
        _ => (EndKind::Refused, ""),
    };
    (kind, words.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_heard_to_ring_or_to_wait_and_who_talks_hears_nothing_else() {
        use Phase::{Answered, Dialing, EarlyMedia, Incoming, Ringing};
        for (phases, cue) in [
            (&[][..], None),
            (&[Incoming], Some(Cue::Ringing)),
            (&[Dialing], None),
            (&[Ringing], Some(Cue::RingBack)),
            (&[EarlyMedia], None),
            (&[Answered], None),
            (&[Answered, Incoming], Some(Cue::Waiting)),
            (&[Answered, Ringing], None),
            (&[EarlyMedia, Incoming], None),
            (&[Ringing, Incoming], Some(Cue::Ringing)),
        ] {
            assert_eq!(cue_of(phases), cue, "{phases:?}");
        }
    }

    #[test]
    fn the_end_of_a_call_that_did_not_come_about_is_heard_and_no_other() {
        for (kind, cue) in [
            (EndKind::Busy, Some(Cue::Busy)),
            (EndKind::Declined, Some(Cue::Busy)),
            (EndKind::NoCommonCodec, Some(Cue::Congestion)),
            (EndKind::TimedOut, Some(Cue::Congestion)),
            (EndKind::Local, None),
            (EndKind::Remote, None),
            (EndKind::Missed, None),
        ] {
            assert_eq!(kind.tone(), cue, "{kind:?}");
        }
    }
}
