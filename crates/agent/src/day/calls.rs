//! The calls of the day. One at a time: there is no hold yet, so that a second one would be heard
//! together with the first.

use std::time::{Duration, Instant};

use rollcall_phone::{CallEnd, CallRef, Codec, PhoneCommand, PhoneEvent, Target};
use rollcall_wire::board::Reason;
use rollcall_wire::ui::{CallState, CallView, Direction, Levels, PhoneState, Transfer};

use super::{At, CommandId, Day, Effect, Now};
use crate::problem;

/// How long somebody is told that they speak into a muted microphone. The phone says so again after ten seconds.
const TOLD_MUTED: Duration = Duration::from_secs(6);

/// What the server says of an agent whom it has the queues pass over.
const DRAINED_BY: [&str; 6] = [
    "draining",
    "app_lost",
    "sip_loop_stalled",
    "audio_loop_stalled",
    "no_audio_device",
    "logout_pending",
];

/// The calls, oldest first.
#[derive(Debug, Default)]
pub(super) struct Calls {
    list: Vec<Call>,
    numbers_used: u32,
    muted: bool,
    /// Until when somebody is told that they speak while muted.
    speaking_muted: Option<Instant>,
    levels: Levels,
}

#[derive(Debug)]
struct Call {
    reference: CallRef,
    view: CallView,
    /// It was handed on: the other side talks with somebody else now.
    handed_on: bool,
    forget_at: Option<Instant>,
}

impl Call {
    fn is_live(&self) -> bool {
        self.view.state != CallState::Ended
    }

    fn is_talked_on(&self) -> bool {
        matches!(self.view.state, CallState::Active | CallState::HeldByPeer)
    }

    fn is_being_transferred(&self) -> bool {
        let transfer = self.view.transfer.as_ref();
        transfer.is_some_and(|transfer| transfer.failed.is_none())
    }

    fn rings_here(&self) -> bool {
        self.view.direction == Direction::In && self.view.state == CallState::Ringing
    }
}

impl Calls {
    pub(super) fn views(&self) -> Vec<CallView> {
        self.list.iter().map(|call| call.view.clone()).collect()
    }

    pub(super) fn muted(&self) -> bool {
        self.muted
    }

    pub(super) fn speaking_muted(&self) -> bool {
        self.speaking_muted.is_some()
    }

    pub(super) fn levels(&self) -> Option<Levels> {
        let talks = self.list.iter().any(Call::is_talked_on);
        talks.then_some(self.levels)
    }

    pub(super) fn any_live(&self) -> bool {
        self.list.iter().any(Call::is_live)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let calls = self.list.iter().filter_map(|call| call.forget_at);
        calls.chain(self.speaking_muted).min()
    }

    pub(super) fn forget_what_is_over(&mut self, at: Instant) {
        self.speaking_muted = self.speaking_muted.filter(|until| *until > at);
        self.list
            .retain(|call| call.forget_at.is_none_or(|forget_at| forget_at > at));
    }

    fn add(&mut self, reference: CallRef, direction: Direction, peer: String) -> &mut CallView {
        self.numbers_used = self.numbers_used.wrapping_add(1);
        let state = match direction {
            Direction::In => CallState::Ringing,
            Direction::Out => CallState::Dialing,
        };
        self.list.push(Call {
            reference,
            view: CallView {
                id: self.numbers_used,
                direction,
                state,
                peer,
                peer_name: None,
                answered_at: None,
                codec: None,
                ended: None,
                transfer: None,
            },
            handed_on: false,
            forget_at: None,
        });
        let last = self.list.len() - 1;
        &mut self.list[last].view
    }

    fn live(&mut self, reference: CallRef) -> Option<&mut Call> {
        self.list
            .iter_mut()
            .find(|call| call.reference == reference && call.is_live())
    }

    fn by_id(&self, id: u32) -> Option<&Call> {
        self.list
            .iter()
            .find(|call| call.view.id == id && call.is_live())
    }
}

impl Day {
    pub(super) fn dial(&mut self, command: CommandId, target: &str) {
        let answer = match self.stage {
            At::SignedIn if self.calls.any_live() => Err(problem::call_in_progress()),
            At::SignedIn if !matches!(self.phone, PhoneState::Registered) => {
                Err(problem::not_registered())
            }
            // The phone's judgement; it would refuse the call a moment later.
            At::SignedIn => Target::parse(target).map_err(|why| problem::bad_target(&why)),
            _ => Err(problem::not_signed_in()),
        };
        let answer = answer.map(|judged| {
            let call = CallRef::fresh();
            let peer = user_part(judged.shown()).to_owned();
            self.calls.add(call, Direction::Out, peer);
            let target = target.to_owned();
            self.push(Effect::Phone(PhoneCommand::Dial { call, target }));
            None
        });
        self.tell(command, answer);
    }

    pub(super) fn answer_call(&mut self, command: CommandId, id: u32) {
        self.ask_about_call(command, id, Call::rings_here, PhoneCommand::Answer);
    }

    pub(super) fn decline(&mut self, command: CommandId, id: u32) {
        self.ask_about_call(command, id, Call::rings_here, PhoneCommand::Decline);
    }

    pub(super) fn hang_up(&mut self, command: CommandId, id: u32) {
        self.ask_about_call(command, id, Call::is_live, PhoneCommand::Hangup);
    }

    pub(super) fn transfer(&mut self, command: CommandId, id: u32, target: String) {
        let mut calls = self.calls.list.iter_mut();
        let call = calls.find(|call| call.view.id == id && call.is_talked_on());
        let answer = match (call, Target::parse(&target)) {
            (None, _) => Err(problem::no_such_call()),
            (Some(call), _) if call.is_being_transferred() => Err(problem::being_transferred()),
            (Some(_), Err(why)) => Err(problem::bad_target(&why)),
            (Some(call), Ok(judged)) => {
                call.view.transfer = Some(Transfer {
                    to: user_part(judged.shown()).to_owned(),
                    failed: None,
                });
                let call = call.reference;
                self.push(Effect::Phone(PhoneCommand::Transfer { call, target }));
                Ok(None)
            }
        };
        self.tell(command, answer);
    }

    fn ask_about_call(
        &mut self,
        command: CommandId,
        id: u32,
        fits: fn(&Call) -> bool,
        ask: fn(CallRef) -> PhoneCommand,
    ) {
        let call = self.calls.by_id(id).filter(|call| fits(call));
        let answer = match call.map(|call| call.reference) {
            Some(reference) => {
                self.push(Effect::Phone(ask(reference)));
                Ok(None)
            }
            None => Err(problem::no_such_call()),
        };
        self.tell(command, answer);
    }

    pub(super) fn set_muted(&mut self, command: CommandId, muted: bool) {
        if !self.calls.any_live() {
            return self.tell(command, Err(problem::no_such_call()));
        }
        self.calls.muted = muted;
        self.calls.speaking_muted = None;
        self.push(Effect::Phone(PhoneCommand::SetMuted(muted)));
        self.tell(command, Ok(None));
    }

    /// Nobody new is talked to while signing out.
    pub(super) fn turn_away_ringing(&mut self) {
        self.ask_all(Call::rings_here, PhoneCommand::TurnAway);
    }

    /// All but those that ring here, which are turned away.
    pub(super) fn hang_up_all(&mut self) {
        self.ask_all(
            |call| call.is_live() && !call.rings_here(),
            PhoneCommand::Hangup,
        );
    }

    fn ask_all(&mut self, fits: fn(&Call) -> bool, ask: fn(CallRef) -> PhoneCommand) {
        for call in self.calls.list.iter().filter(|call| fits(call)) {
            self.effects.push_back(Effect::Phone(ask(call.reference)));
        }
    }

    /// Everything the phone says of a call. The rest of its events is dealt with before.
    pub(super) fn on_call_event(&mut self, now: Now, event: PhoneEvent) {
        match event {
            PhoneEvent::Incoming {
                call,
                from_display,
                from_uri,
            } => self.incoming(call, &from_display, &from_uri),
            PhoneEvent::Ringing { call } => self.set_state(call, CallState::Ringing),
            PhoneEvent::Answered { call, codec } => self.answered(now, call, codec),
            PhoneEvent::HeldByOther { call, held } => {
                let state = if held {
                    CallState::HeldByPeer
                } else {
                    CallState::Active
                };
                self.set_state(call, state);
            }
            PhoneEvent::Ended { call, end } => self.ended(now, call, &end),
            PhoneEvent::Transfer {
                call,
                code,
                is_final: true,
            } => self.transferred(call, code),
            PhoneEvent::Refused { call, message } => self.transfer_failed(call, message),
            PhoneEvent::Levels {
                microphone,
                speaker,
            } => {
                self.calls.levels = Levels {
                    microphone: Levels::step(microphone),
                    speaker: Levels::step(speaker),
                };
            }
            PhoneEvent::SpeakingMuted if self.calls.muted => {
                self.calls.speaking_muted = Some(now.at + TOLD_MUTED);
            }
            _ => {}
        }
    }

    fn incoming(&mut self, call: CallRef, from_display: &str, from_uri: &str) {
        if self.is_drained() {
            return self.push(Effect::Phone(PhoneCommand::TurnAway(call)));
        }
        if self.calls.any_live() {
            return self.push(Effect::Phone(PhoneCommand::Decline(call)));
        }
        let peer = user_part(from_uri).to_owned();
        let name = Some(from_display.trim().to_owned()).filter(|n| !n.is_empty() && *n != peer);
        self.calls.add(call, Direction::In, peer).peer_name = name;
    }

    /// Nobody new is to be called here (R10): who signs out, nobody, or whom the server passes over until the phone is
    /// proved again.
    fn is_drained(&self) -> bool {
        if self.asleep || !matches!(self.stage, At::SignedIn | At::SigningIn { .. }) {
            return true;
        }
        let drains = |reason: &Reason| DRAINED_BY.contains(&reason.code.as_str());
        self.own_line()
            .is_some_and(|own| own.reasons.iter().any(drains))
    }

    fn set_state(&mut self, call: CallRef, state: CallState) {
        if let Some(call) = self.calls.live(call) {
            call.view.state = state;
        }
    }

    fn answered(&mut self, now: Now, call: CallRef, codec: Codec) {
        if let Some(call) = self.calls.live(call) {
            call.view.state = CallState::Active;
            call.view.answered_at = Some(now.ms);
            call.view.codec = Some(codec_name(codec).to_owned());
        }
    }

    fn transferred(&mut self, call: CallRef, code: u16) {
        if code >= 300 {
            return self.transfer_failed(call, CallEnd::refused(code).message);
        }
        if let Some(call) = self.calls.live(call) {
            call.handed_on = true;
        }
    }

    fn transfer_failed(&mut self, call: CallRef, why: String) {
        let transfer = self
            .calls
            .live(call)
            .and_then(|call| call.view.transfer.as_mut());
        if let Some(transfer) = transfer {
            transfer.failed.get_or_insert(why);
        }
    }

    fn ended(&mut self, now: Now, call: CallRef, end: &CallEnd) {
        let forget_at = now.at + self.patience.ended_call;
        if let Some(call) = self.calls.live(call) {
            call.view.state = CallState::Ended;
            let to = call.view.transfer.take().filter(|_| call.handed_on);
            let words = to.map(|transfer| format!("Transferred to {}.", transfer.to));
            call.view.ended = Some(words.unwrap_or_else(|| end.message.clone()));
            call.forget_at = Some(forget_at);
        }
        if !self.calls.any_live() {
            self.calls.speaking_muted = None;
            self.calls.levels = Levels::default();
            // A mute that outlived its call would be found out by the next caller.
            if std::mem::take(&mut self.calls.muted) {
                self.push(Effect::Phone(PhoneCommand::SetMuted(false)));
            }
            self.leave(now);
        }
    }

    /// The engine is gone, and the calls with it.
    pub(super) fn calls_are_gone(&mut self, now: Now) {
        let forget_at = now.at + self.patience.ended_call;
        for call in self.calls.list.iter_mut().filter(|call| call.is_live()) {
            call.view.state = CallState::Ended;
            call.view.ended = Some("The phone stopped.".to_owned());
            call.forget_at = Some(forget_at);
        }
    }
}

/// As people write it.
fn codec_name(codec: Codec) -> &'static str {
    match codec {
        Codec::Opus => "Opus",
        Codec::G722 => "G.722",
        Codec::Pcmu => "PCMU",
        Codec::Pcma => "PCMA",
    }
}

/// The user part of a SIP address, or what stands there instead.
fn user_part(uri: &str) -> &str {
    let rest = uri
        .strip_prefix("sips:")
        .or(uri.strip_prefix("sip:"))
        .or(uri.strip_prefix("tel:"))
        .unwrap_or(uri);
    let end = rest.find(['@', ';']).unwrap_or(rest.len());
    rest.get(..end)
        .filter(|user| !user.is_empty())
        .unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_shown_by_the_user_part_of_the_address() {
        assert_eq!(user_part("sip:1002@pbx.example;x=y"), "1002");
        assert_eq!(user_part("tel:+4930"), "+4930");
        assert_eq!(user_part("sip:pbx.example"), "pbx.example");
        assert_eq!(user_part("600"), "600");
    }
}
