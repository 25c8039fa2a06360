//! Calls: to the echo number, and from person to person through a back-to-back user agent.
//!
//! ```text
//!  INVITE ─► Opening ─► Echoing
//!              │
//!              └─────► Dialling (all contacts of the callee ring) ─► Talking
//! ```
//!
//! Each leg is a dialog of the user agent and a channel of the manager interface. No sound is transcoded: the callee is
//! offered the codecs that the caller offered and this house speaks, and the caller is answered with the callee's choice.

use std::net::SocketAddr;
use std::time::Instant;

use rand::Rng;
use rollcall_media::codec::Codec;
use rollcall_media::sdp::{self, Direction, Local, Negotiated, SdpError};
use rollcall_sip::message::{Request, parse_uri};
use rollcall_sip::{CallId, EndReason, Event, InviteRequest, NameAddr, Reply};

use super::cause::{self, cause_of, dial_status, more_telling, response_code};
use super::channel::{ChannelState, NewChannel};
use super::legs::Leg;
use super::registrar::StoredContact;
use super::{MediaId, Output, Pbx};
use crate::relay::Aim;

/// The number that sends everything back.
const ECHO: &str = "600";
/// Calls at a time; more are refused with 503.
const MAX_CALLS: usize = 256;

/// A call, from its INVITE to its end.
#[derive(Debug)]
pub(super) struct Call {
    caller: Leg,
    /// Whom the caller dialled.
    exten: String,
    /// The caller's SDP offer.
    offer: Vec<u8>,
    /// What of it we can pass, best first.
    codecs: Vec<Codec>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// The RTP sockets are being opened.
    Opening,
    /// They are open, and nothing is agreed yet.
    Opened,
    Echoing {
        stream: Stream,
    },
    Dialling {
        branches: Vec<Leg>,
        /// What we say on each side.
        locals: [Local; 2],
        deadline: Instant,
        /// The best reason so far why nobody answers.
        worst: u16,
    },
    Talking {
        callee: Leg,
        bridge: String,
        streams: [Stream; 2],
    },
}

/// What was agreed with one phone.
#[derive(Debug, Clone)]
struct Stream {
    local: Local,
    codec: Codec,
}

/// Where in a call a dialog stands.
enum Place {
    Caller,
    Branch(Leg),
    Callee,
}

impl Call {
    fn place(&self, ua: CallId) -> Option<Place> {
        if self.caller.ua == ua {
            return Some(Place::Caller);
        }
        match &self.stage {
            Stage::Dialling { branches, .. } => branches
                .iter()
                .find(|leg| leg.ua == ua)
                .copied()
                .map(Place::Branch),
            Stage::Talking { callee, .. } if callee.ua == ua => Some(Place::Callee),
            _ => None,
        }
    }

    fn legs(&self) -> impl Iterator<Item = Leg> {
        let others = match &self.stage {
            Stage::Dialling { branches, .. } => branches.as_slice(),
            Stage::Talking { callee, .. } => std::slice::from_ref(callee),
            _ => &[],
        };
        std::iter::once(self.caller).chain(others.iter().copied())
    }

    /// The side of the media that a dialog is on, and what was agreed there.
    fn stream_mut(&mut self, ua: CallId) -> Option<(usize, &mut Stream)> {
        let from_caller = self.caller.ua == ua;
        match &mut self.stage {
            Stage::Echoing { stream } => Some((0, stream)),
            Stage::Talking {
                streams: [caller, _],
                ..
            } if from_caller => Some((0, caller)),
            Stage::Talking {
                streams: [_, callee],
                ..
            } => Some((1, callee)),
            _ => None,
        }
    }
}

impl Pbx {
    pub(super) fn handle_call_event(&mut self, now: Instant, event: Event) {
        match event {
            Event::Incoming { call, request, .. } => self.handle_invite(now, call, &request),
            Event::Progress { call, code, .. } if code >= 180 => self.handle_ringing(now, call),
            Event::Answered { call, sdp } => self.handle_answer(now, call, &sdp),
            Event::Offer { call, sdp } => self.handle_offer(now, call, &sdp),
            Event::Ended { call, reason } => self.handle_end(now, call, &reason),
            _ => {}
        }
    }

    pub(super) fn next_ring_timeout(&self) -> Option<Instant> {
        let deadlines = self.calls.values().filter_map(|call| match call.stage {
            Stage::Dialling { deadline, .. } => Some(deadline),
            _ => None,
        });
        deadlines.min()
    }

    pub(super) fn give_up_ringing(&mut self, now: Instant) {
        let is_due =
            |call: &Call| matches!(call.stage, Stage::Dialling { deadline, .. } if deadline <= now);
        let due: Vec<MediaId> = self
            .calls
            .iter()
            .filter(|(_, call)| is_due(call))
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            self.drop_branches(now, id, None, "NOANSWER", cause::UNKNOWN);
            self.refuse(now, id, cause::NO_ANSWER);
        }
    }

    fn handle_invite(&mut self, now: Instant, ua: CallId, request: &Request) {
        let caller = match self.authenticate(now, request) {
            Ok(caller) => caller,
            Err(challenge) => return self.ua.reject(now, ua, challenge),
        };
        let exten = request.uri.user().unwrap_or_default().to_owned();
        let known = exten == ECHO || self.people.contains_key(&exten);
        let codecs = match offered_codecs(&request.body) {
            _ if !known => return self.ua.reject(now, ua, 404),
            _ if self.calls.len() >= MAX_CALLS => return self.ua.reject(now, ua, 503),
            Ok(codecs) => codecs,
            Err(error) => {
                let warning = format!("304 pocket \"{error}\"");
                return self.ua.reject(
                    now,
                    ua,
                    Reply::new(error.status()).with("Warning", warning),
                );
            }
        };
        let new = NewChannel {
            person: self.party(&caller),
            state: ChannelState::Ring,
            exten: &exten,
            linked_id: None,
            application: if exten == ECHO { "Echo" } else { "Dial" },
        };
        let channel = self.create_channel(now, new);
        let id = MediaId(self.calls_made);
        self.calls_made += 1;
        let sides = if exten == ECHO { 1 } else { 2 };
        let caller = Leg { ua, channel };
        let call = Call {
            caller,
            exten,
            offer: request.body.clone(),
            codecs,
            stage: Stage::Opening,
        };
        self.legs.insert(ua, id);
        let callable = sides == 1 || !self.callable(now, &call.exten).is_empty();
        self.calls.insert(id, call);
        match callable {
            true => self
                .outputs
                .push_back(Output::OpenMedia { media: id, sides }),
            false => self.refuse(now, id, cause::SUBSCRIBER_ABSENT),
        }
    }

    pub(super) fn handle_media_opened(&mut self, now: Instant, id: MediaId, sides: &[SocketAddr]) {
        let Some(call) = self.calls.get_mut(&id) else {
            // The caller gave up meanwhile.
            return self.outputs.push_back(Output::CloseMedia(id));
        };
        call.stage = Stage::Opened;
        let session_id = u64::from(self.rng.random::<u32>());
        let local = |side| Local::new(side, session_id);
        match *sides {
            [own] => self.echo(now, id, local(own)),
            [own, other] => self.dial(now, id, [local(own), local(other)]),
            _ => self.refuse(now, id, cause::CONGESTION),
        }
    }

    /// Ends all calls, for a PBX that stops.
    pub(super) fn end_all(&mut self, now: Instant) {
        let all: Vec<MediaId> = self.calls.keys().copied().collect();
        for id in all {
            self.end(now, id, None);
        }
    }

    fn echo(&mut self, now: Instant, id: MediaId, local: Local) {
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        let caller = call.caller;
        let Ok((answer, agreed)) =
            sdp::answer(&call.offer, &local, &call.codecs, Direction::SendRecv)
        else {
            return self.refuse(now, id, cause::BEARER_CAPABILITY);
        };
        call.stage = Stage::Echoing {
            stream: Stream {
                local,
                codec: agreed.codec,
            },
        };
        self.aim(id, 0, &agreed);
        self.ua.answer(now, caller.ua, answer.into());
        self.set_channel_state(now, caller.channel, ChannelState::Up);
        self.tell_leg_device(now, caller);
    }

    /// Calls every contact of the callee that may answer.
    fn dial(&mut self, now: Instant, id: MediaId, locals: [Local; 2]) {
        let Some(call) = self.calls.get(&id) else {
            return;
        };
        let (caller, exten, codecs) = (call.caller, call.exten.clone(), call.codecs.clone());
        let offer = sdp::offer(&locals[1], &codecs, Direction::SendRecv);
        let mut branches = Vec::new();
        for contact in self.callable(now, &exten) {
            let Some(from) = self.identity(caller) else {
                break;
            };
            let invite = InviteRequest {
                target: contact.uri,
                destination: contact.source,
                from,
                offer: offer.clone().into(),
                credentials: None,
                headers: Vec::new(),
            };
            let ua = self.ua.invite(now, invite);
            let channel = self.create_branch_channel(now, caller, &exten);
            self.legs.insert(ua, id);
            branches.push(Leg { ua, channel });
            self.tell_dial(now, "DialBegin", caller, channel, |event| {
                event.with("DialString", &format!("{exten}/{}", contact.uri_text))
            });
            self.tell_channel(now, "NewConnectedLine", caller.channel, |event| event);
        }
        if branches.is_empty() {
            return self.refuse(now, id, cause::SUBSCRIBER_ABSENT);
        }
        let deadline = now + self.config.ring_timeout;
        if let Some(call) = self.calls.get_mut(&id) {
            call.stage = Stage::Dialling {
                branches,
                locals,
                deadline,
                worst: cause::UNKNOWN,
            };
        }
    }

    fn handle_ringing(&mut self, now: Instant, ua: CallId) {
        let Some(id) = self.legs.get(&ua).copied() else {
            return;
        };
        let Some(call) = self.calls.get(&id) else {
            return;
        };
        let (caller, Some(Place::Branch(branch))) = (call.caller, call.place(ua)) else {
            return;
        };
        let already = self
            .channels
            .get(branch.channel)
            .is_none_or(|channel| channel.state == ChannelState::Ringing);
        if already {
            return;
        }
        self.set_channel_state(now, branch.channel, ChannelState::Ringing);
        self.tell_leg_device(now, branch);
        // As Asterisk does: the caller is in use from the first sign of life, not from the INVITE.
        self.tell_leg_device(now, caller);
        self.tell_dial(now, "DialState", caller, branch.channel, |event| {
            event.with("DialStatus", "RINGING")
        });
        self.ua.ring(now, caller.ua, None);
    }

    fn handle_answer(&mut self, now: Instant, ua: CallId, answer: &[u8]) {
        let Some(id) = self.legs.get(&ua).copied() else {
            return;
        };
        let Some(call) = self.calls.get(&id) else {
            return;
        };
        let (caller, Some(Place::Branch(callee))) = (call.caller, call.place(ua)) else {
            return;
        };
        let Stage::Dialling { ref locals, .. } = call.stage else {
            return;
        };
        let Ok((own, [with_caller, with_callee])) = agree(call, locals, answer) else {
            self.ua.hangup(now, ua);
            return self.branch_failed(now, id, callee, cause::BEARER_CAPABILITY);
        };
        let locals = locals.clone();
        self.drop_branches(now, id, Some(callee), "CANCEL", cause::ANSWERED_ELSEWHERE);
        let bridge = self.bridge_id();
        let streams = [
            Stream {
                local: locals[0].clone(),
                codec: with_caller.codec,
            },
            Stream {
                local: locals[1].clone(),
                codec: with_callee.codec,
            },
        ];
        if let Some(call) = self.calls.get_mut(&id) {
            call.stage = Stage::Talking {
                callee,
                bridge: bridge.clone(),
                streams,
            };
        }
        self.aim(id, 0, &with_caller);
        self.aim(id, 1, &with_callee);
        self.ua.answer(now, caller.ua, own.into());
        self.tell_answered(now, caller, callee, &bridge);
    }

    /// A phone changes its session (hold, another address): answered here, the other phone is not bothered.
    fn handle_offer(&mut self, now: Instant, ua: CallId, offer: &[u8]) {
        let Some((id, (side, stream))) = self
            .legs
            .get(&ua)
            .and_then(|id| Some((*id, self.calls.get_mut(id)?.stream_mut(ua)?)))
        else {
            return self.ua.refuse_offer(now, ua, 488);
        };
        let local = Local {
            session_version: stream.local.session_version + 1,
            ..stream.local.clone()
        };
        match sdp::answer(offer, &local, &[stream.codec], Direction::SendRecv) {
            Ok((answer, agreed)) => {
                stream.local = local;
                self.aim(id, side, &agreed);
                self.ua.answer_offer(now, ua, answer.into());
            }
            Err(error) => self.ua.refuse_offer(now, ua, error.status()),
        }
    }

    fn handle_end(&mut self, now: Instant, ua: CallId, reason: &EndReason) {
        let Some(id) = self.legs.get(&ua).copied() else {
            return;
        };
        let Some(place) = self.calls.get(&id).and_then(|call| call.place(ua)) else {
            return;
        };
        match place {
            Place::Branch(leg) => self.branch_failed(now, id, leg, cause_of(reason)),
            Place::Caller | Place::Callee => self.end(now, id, Some(ua)),
        }
    }

    fn branch_failed(&mut self, now: Instant, id: MediaId, leg: Leg, why: u16) {
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        let caller = call.caller;
        let Stage::Dialling {
            branches, worst, ..
        } = &mut call.stage
        else {
            return;
        };
        branches.retain(|branch| *branch != leg);
        *worst = more_telling(*worst, why);
        let (left, worst) = (branches.len(), *worst);
        self.legs.remove(&leg.ua);
        self.tell_hangup_request(now, leg, why);
        self.tell_dial(now, "DialEnd", caller, leg.channel, |event| {
            event.with("DialStatus", dial_status(why))
        });
        self.hang_up_channel_leg(now, leg, why);
        if left == 0 {
            self.refuse(now, id, worst);
        }
    }

    /// Ends every ringing branch but `winner`.
    fn drop_branches(
        &mut self,
        now: Instant,
        id: MediaId,
        winner: Option<Leg>,
        status: &str,
        why: u16,
    ) {
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        let caller = call.caller;
        let Stage::Dialling { branches, .. } = &mut call.stage else {
            return;
        };
        for leg in std::mem::take(branches)
            .into_iter()
            .filter(|leg| Some(*leg) != winner)
        {
            self.legs.remove(&leg.ua);
            self.ua.hangup(now, leg.ua);
            self.tell_dial(now, "DialEnd", caller, leg.channel, |event| {
                event.with("DialStatus", status)
            });
            self.hang_up_channel_leg(now, leg, why);
        }
    }

    /// Refuses a caller who was not answered, and ends the call.
    fn refuse(&mut self, now: Instant, id: MediaId, why: u16) {
        let Some(call) = self.remove_call(id) else {
            return;
        };
        self.ua.reject(now, call.caller.ua, response_code(why));
        self.hang_up_channel_leg(now, call.caller, why);
    }

    /// Ends a call because the dialog `by` ended, or for a manager.
    fn end(&mut self, now: Instant, id: MediaId, by: Option<CallId>) {
        let ended = |call: &Call| call.legs().find(|leg| Some(leg.ua) == by);
        if let Some(leg) = self.calls.get(&id).and_then(ended) {
            self.tell_hangup_request(now, leg, cause::NORMAL_CLEARING);
        }
        self.drop_branches(now, id, None, "CANCEL", cause::INTERWORKING);
        let Some(call) = self.remove_call(id) else {
            return;
        };
        let caller = call.caller;
        let why = match call.stage {
            Stage::Talking { callee, bridge, .. } => {
                let by_callee = by == Some(callee.ua);
                let legs = if by_callee {
                    [callee, caller]
                } else {
                    [caller, callee]
                };
                return self.end_bridged(now, legs, &bridge, by);
            }
            // Asterisk gives no cause where no other channel passed one on.
            Stage::Echoing { .. } => cause::UNKNOWN,
            _ => cause::INTERWORKING,
        };
        if by != Some(caller.ua) {
            self.ua.hangup(now, caller.ua);
        }
        self.hang_up_channel_leg(now, caller, why);
    }

    fn end_bridged(&mut self, now: Instant, legs: [Leg; 2], bridge: &str, by: Option<CallId>) {
        for (leg, members) in legs.into_iter().zip([1, 0]) {
            if Some(leg.ua) != by {
                self.ua.hangup(now, leg.ua);
            }
            self.tell_bridge(now, "BridgeLeave", bridge, members, Some(leg.channel));
            if members == 0 {
                self.tell_bridge(now, "BridgeDestroy", bridge, 0, None);
            }
            self.hang_up_channel_leg(now, leg, cause::NORMAL_CLEARING);
        }
    }

    /// Ends the call of a channel for a manager; `false` when there is no such channel.
    pub(super) fn hang_up_named(&mut self, now: Instant, name: &str) -> bool {
        let is_named = |leg: &Leg| {
            self.channels
                .get(leg.channel)
                .is_some_and(|channel| channel.name == name)
        };
        let mut calls = self.calls.iter();
        let found = calls.find(|(_, call)| call.legs().any(|leg| is_named(&leg)));
        let found = found.map(|(id, _)| *id);
        if let Some(id) = found {
            self.end(now, id, None);
        }
        found.is_some()
    }

    fn remove_call(&mut self, id: MediaId) -> Option<Call> {
        let call = self.calls.remove(&id)?;
        self.legs.retain(|_, of| *of != id);
        if !matches!(call.stage, Stage::Opening) {
            self.outputs.push_back(Output::CloseMedia(id));
        }
        Some(call)
    }

    fn callable(&self, now: Instant, exten: &str) -> Vec<StoredContact> {
        let is_callable = |contact: &&StoredContact| {
            contact.in_table
                && contact.expires_at > now
                && contact.status != rollcall_ami::ContactStatus::Unreachable
        };
        self.registrar
            .contacts(exten)
            .iter()
            .filter(is_callable)
            .cloned()
            .collect()
    }

    fn aim(&mut self, media: MediaId, side: usize, agreed: &Negotiated) {
        let aim = Aim {
            remote: agreed.remote,
            receive_payload_type: agreed.receive_payload_type,
            send_payload_type: agreed.send_payload_type,
            sends: agreed.direction.sends(),
        };
        self.outputs
            .push_back(Output::AimMedia { media, side, aim });
    }

    /// Who calls, as the callee's phone shows it.
    fn identity(&self, caller: Leg) -> Option<NameAddr> {
        let person = &self.channels.get(caller.channel)?.caller;
        let uri = parse_uri(&format!("sip:{}@{}", person.number, self.sip_addr)).ok()?;
        Some(NameAddr {
            display: Some(person.name.clone()),
            ..NameAddr::new(uri)
        })
    }

    fn bridge_id(&mut self) -> String {
        let (a, b): (u64, u64) = (self.rng.random(), self.rng.random());
        let (b, c, d) = (a as u16, b >> 48, b & 0xffff_ffff_ffff);
        format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{d:012x}",
            a >> 32,
            (a >> 16) & 0xffff,
            b & 0xfff,
            c & 0xfff
        )
    }
}

/// The codecs of an offer that this house speaks, the caller's first choice first.
fn offered_codecs(offer: &[u8]) -> Result<Vec<Codec>, SdpError> {
    let nowhere = Local::new(SocketAddr::from(([127, 0, 0, 1], 9)), 0);
    let try_codecs = |codecs: &[Codec]| sdp::answer(offer, &nowhere, codecs, Direction::SendRecv);
    let (_, best) = try_codecs(&Codec::DEFAULT)?;
    let others = Codec::DEFAULT
        .into_iter()
        .filter(|codec| *codec != best.codec);
    let also = others.filter(|codec| try_codecs(&[*codec]).is_ok());
    Ok(std::iter::once(best.codec).chain(also).collect())
}

/// The answer for the caller, and what is agreed with both, from the callee's answer.
fn agree(
    call: &Call,
    locals: &[Local; 2],
    answer: &[u8],
) -> Result<(Vec<u8>, [Negotiated; 2]), SdpError> {
    let with_callee = sdp::accept(answer, &locals[1], &call.codecs, Direction::SendRecv)?;
    let (own, with_caller) = sdp::answer(
        &call.offer,
        &locals[0],
        &[with_callee.codec],
        Direction::SendRecv,
    )?;
    Ok((own, [with_caller, with_callee]))
}
