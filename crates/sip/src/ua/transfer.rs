//! Calls handed on: REFER as the one who hands on and the one who is handed (RFC 3515, 3892, 5589), and calls that take
//! the place of another (Replaces, RFC 3891).

use std::fmt::Write as _;
use std::time::Instant;

use super::call::State;
use super::{
    CallId, EndReason, Event, InviteRequest, Pending, Purpose, RefusalKind, Reply, UserAgent,
};
use crate::dialog::{Dialog, DialogKey};
use crate::message::write::standard_reason;
use crate::message::{HeadersView, Method, NameAddr, Request, Response, header, uri_text};
use crate::transaction::{ClientId, ServerId};

/// A transfer that we asked for in a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transfer {
    client: ClientId,
}

/// A transfer that the other side of a call asks us for.
#[derive(Debug)]
pub(super) struct Asked {
    server: ServerId,
    request: Box<Request>,
}

/// Whom we owe news of a call that we make because we were asked to (RFC 3515 section 2.4.4).
#[derive(Debug)]
pub(super) struct Referrer {
    call: CallId,
    /// Its dialog, once the call is forgotten.
    dialog: Option<Dialog>,
    /// The Event header's value.
    event: String,
    told: u16,
}

impl UserAgent {
    /// Sends REFER with this Refer-To value.
    pub(super) fn begin_transfer(&mut self, now: Instant, id: CallId, refer_to: &str) -> bool {
        let Some(call) = self.calls.get_mut(id) else {
            return false;
        };
        let is_free = call.state == State::Established && call.transfer.is_none();
        let Some(dialog) = call.dialog.as_mut().filter(|_| is_free) else {
            return false;
        };
        let (mut refer, peer) = (dialog.request(Method::Refer), dialog.peer());
        let own = uri_text(&dialog.local().uri);
        refer.headers.add("Refer-To", refer_to);
        refer.headers.add("Referred-By", format!("<{own}>"));
        let client = self.send(now, refer, peer, Pending::new(Purpose::Refer(id)));
        if let Some(call) = self.calls.get_mut(id) {
            call.transfer = Some(Transfer { client });
        }
        true
    }

    /// The Refer-To value that sends somebody into the place we have in this call (RFC 5589 section 7.1).
    pub(super) fn place_in(&self, id: CallId) -> Option<String> {
        let call = self.calls.get(id)?;
        let dialog = call
            .dialog
            .as_ref()
            .filter(|_| call.state == State::Established)?;
        let replaces = format!(
            "{};to-tag={};from-tag={}",
            call.key.call_id,
            dialog.remote_tag(),
            call.key.local_tag
        );
        let target = uri_text(dialog.remote_target());
        Some(format!("<{target}?Replaces={}>", escape(&replaces)))
    }

    pub(super) fn handle_refer_response(
        &mut self,
        now: Instant,
        id: CallId,
        client: ClientId,
        pending: Pending,
        response: &Response,
    ) {
        let again = self.answers_challenge(now, id, client, pending, response);
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        let Some(transfer) = call.transfer.as_mut().filter(|own| own.client == client) else {
            return;
        };
        if let Some(client) = again {
            transfer.client = client;
            return;
        }
        let code = response.status_code.code();
        self.tell_transfer(id, code, code >= 300);
    }

    pub(super) fn handle_refer_timeout(&mut self, id: CallId) {
        if self
            .calls
            .get(id)
            .is_some_and(|call| call.transfer.is_some())
        {
            self.tell_transfer(id, 408, true);
        }
    }

    /// News of a transfer of ours: the status line that whom we handed on has met (RFC 3515 section 2.4.5).
    pub(super) fn handle_transfer_news(&mut self, id: CallId, request: &Request) -> Reply {
        if self
            .calls
            .get(id)
            .is_none_or(|call| call.transfer.is_none())
        {
            self.refusals.count(RefusalKind::UnknownDialog);
            return Reply::new(481);
        }
        let state = request
            .headers
            .text("Subscription-State")
            .unwrap_or_default();
        let state = state.split(';').next().unwrap_or_default().trim();
        let over = state.eq_ignore_ascii_case("terminated");
        match status_of(&request.body) {
            Some(code) => self.tell_transfer(id, code, over || code >= 200),
            // It ended, and nobody says how.
            None if over => self.tell_transfer(id, 500, true),
            None => {}
        }
        Reply::new(200)
    }

    /// A REFER inside a call: hand up what it asks, or refuse what cannot be followed.
    pub(super) fn handle_refer(
        &mut self,
        now: Instant,
        server: ServerId,
        id: CallId,
        request: Request,
    ) {
        let refer_to = match refer_to_of(&request) {
            Ok(refer_to) => refer_to,
            Err(reply) => {
                self.respond_in(now, server, &request, reply, None);
                return;
            }
        };
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        if call.asked.is_some() || call.state != State::Established {
            let reply = Reply::new(500).with("Retry-After", "5");
            self.respond_in(now, server, &request, reply, None);
            return;
        }
        let referred_by = request.headers.text("Referred-By").map(str::to_owned);
        call.asked = Some(Asked {
            server,
            request: Box::new(request),
        });
        self.events.push_back(Event::Referred {
            call: id,
            replaces: uri_header(&refer_to.uri_headers, "Replaces"),
            target: refer_to.uri,
            referred_by,
        });
    }

    /// 202, and the call that was asked for; its news goes to whom asked.
    pub(super) fn follow_referral(
        &mut self,
        now: Instant,
        id: CallId,
        replaces: Option<String>,
        mut invite: InviteRequest,
    ) -> Option<CallId> {
        let asked = self.calls.get_mut(id)?.asked.take()?;
        let number = asked
            .request
            .headers
            .cseq_view()
            .map_or(0, |cseq| cseq.number);
        let reply = self.dialog_reply(202, bytes::Bytes::new());
        self.respond_in(now, asked.server, &asked.request, reply, None);
        if let Some(referred_by) = asked.request.headers.text("Referred-By") {
            invite.headers.push(header("Referred-By", referred_by));
        }
        if let Some(replaces) = replaces {
            invite.headers.push(header("Replaces", replaces));
            invite.headers.push(header("Require", "replaces"));
        }
        let new = self.begin_call(now, invite);
        let is_first = self.calls.get_mut(id).is_none_or(|call| {
            call.referrals += 1;
            call.referrals == 1
        });
        let event = match is_first {
            true => "refer".to_owned(),
            // RFC 3515 section 2.4.6: from the second REFER on, which of them is meant.
            false => format!("refer;id={number}"),
        };
        let referrer = Referrer {
            call: id,
            dialog: None,
            event,
            told: 0,
        };
        self.referrers.insert(new, referrer);
        self.tell_referrer(now, new, 100);
        Some(new)
    }

    pub(super) fn refuse_referral_in(&mut self, now: Instant, id: CallId, code: u16) {
        let asked = self.calls.get_mut(id).and_then(|call| call.asked.take());
        if let Some(asked) = asked {
            self.respond_in(now, asked.server, &asked.request, Reply::new(code), None);
        }
    }

    /// Tells whoever asked for a call how it goes.
    pub(super) fn tell_referrer(&mut self, now: Instant, new: CallId, code: u16) {
        let Some(referrer) = self.referrers.get_mut(&new) else {
            return;
        };
        if referrer.told >= code && code < 200 {
            return;
        }
        referrer.told = code;
        let over = code >= 200;
        let call = self.calls.get_mut(referrer.call);
        let dialog = match call.and_then(|call| call.dialog.as_mut()) {
            Some(dialog) => Some(dialog),
            None => referrer.dialog.as_mut(),
        };
        if let Some(dialog) = dialog {
            let (mut notify, peer) = (dialog.request(Method::Notify), dialog.peer());
            let state = if over {
                "terminated;reason=noresource"
            } else {
                "active;expires=180"
            };
            notify.headers.add("Event", referrer.event.clone());
            notify.headers.add("Subscription-State", state);
            notify
                .headers
                .add("Content-Type", "message/sipfrag;version=2.0");
            notify.body = format!("SIP/2.0 {code} {}\r\n", standard_reason(code)).into_bytes();
            self.send(now, notify, peer, Pending::new(Purpose::Orphan));
        }
        if over {
            self.referrers.remove(&new);
        }
    }

    /// The end of a call as whoever asked for it is told.
    pub(super) fn tell_referrer_of_end(&mut self, now: Instant, new: CallId, reason: &EndReason) {
        let code = match reason {
            EndReason::Refused { code, .. } => *code,
            EndReason::TimedOut => 408,
            EndReason::Unreachable => 503,
            EndReason::Local | EndReason::Cancelled => 487,
            _ => 503,
        };
        self.tell_referrer(now, new, code);
    }

    /// Keeps the dialog of a call that is forgotten, for the news that is still owed there.
    pub(super) fn keep_dialog_for_news(&mut self, id: CallId, dialog: Option<&Dialog>) {
        let owed = self.referrers.values_mut().filter(|own| own.call == id);
        for referrer in owed {
            referrer.dialog = dialog.cloned();
        }
    }

    /// The call that an INVITE is to take the place of, or why it may not (RFC 3891 section 3).
    pub(super) fn replaced_by(&mut self, request: &Request) -> Result<Option<CallId>, Reply> {
        if !self.supports("replaces") {
            return Ok(None);
        }
        let mut values = request.headers.texts("Replaces");
        let Some(value) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() {
            return Err(Reply::because(400, "Replaces twice"));
        }
        let malformed = || Reply::because(400, "Replaces without a call and both tags");
        let unknown = || Reply::because(481, "Replaces names no call of this phone");
        let place = Place::parse(value).ok_or_else(malformed)?;
        let id = self.calls.named(&place.key).ok_or_else(unknown)?;
        let call = self.calls.get_mut(id).ok_or_else(unknown)?;
        if call.dialog_with(&place.remote_tag).is_none() {
            return Err(unknown());
        }
        match call.state {
            State::Established if place.early_only => {
                Err(Reply::because(486, "the call to be replaced is answered"))
            }
            State::Established
            | State::Calling {
                cancelled: false, ..
            } => Ok(Some(id)),
            State::Incoming { .. } => Err(Reply::because(
                481,
                "the call to be replaced was not begun by this phone",
            )),
            State::Calling { .. } | State::Ending => {
                Err(Reply::because(603, "the call to be replaced is over"))
            }
        }
    }

    /// Ends the call whose place another has taken.
    pub(super) fn give_way(&mut self, now: Instant, old: CallId) {
        let Some(call) = self.calls.get(old).filter(|call| !call.is_over()) else {
            return;
        };
        match call.state {
            State::Established => {
                self.tell_end(now, old, EndReason::Replaced);
                self.say_bye(now, old);
            }
            _ => self.end_call(now, old),
        }
    }

    fn tell_transfer(&mut self, id: CallId, code: u16, is_final: bool) {
        if let Some(call) = self.calls.get_mut(id).filter(|_| is_final) {
            call.transfer = None;
        }
        self.events.push_back(Event::Transfer {
            call: id,
            code,
            is_final,
        });
    }
}

/// Whom REFER means: exactly one address (RFC 3515 section 2.4.1). Asterisk's dialplan sends one with headers and without
/// brackets; here they can belong to nothing but the address (RFC 4475 section 3.1.2.13 allows to infer the brackets).
fn refer_to_of(request: &Request) -> Result<NameAddr, Reply> {
    let mut values = request.headers.texts("Refer-To");
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(Reply::because(400, "not one Refer-To"));
    };
    let refer_to = match value.contains('?') && !value.contains('<') {
        true => NameAddr::parse(&format!("<{}>", value.trim())),
        false => NameAddr::parse(value),
    };
    refer_to.map_err(|refusal| Reply::because(refusal.code, refusal.reason))
}

/// What Replaces names.
struct Place {
    key: DialogKey,
    remote_tag: String,
    early_only: bool,
}

impl Place {
    fn parse(value: &str) -> Option<Self> {
        let mut parts = value.split(';').map(str::trim);
        let call_id = parts.next().filter(|id| !id.is_empty())?.to_owned();
        let (mut to, mut from, mut early_only) = (None, None, false);
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "to-tag" => to = Some(value.trim().to_owned()),
                "from-tag" => from = Some(value.trim().to_owned()),
                "early-only" => early_only = true,
                _ => {}
            }
        }
        Some(Self {
            key: DialogKey {
                call_id,
                local_tag: to?,
            },
            remote_tag: from?,
            early_only,
        })
    }
}

/// The code in a status line of `message/sipfrag` (RFC 3420).
fn status_of(body: &[u8]) -> Option<u16> {
    let line = body.split(|byte| *byte == b'\r' || *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let code = line.strip_prefix("SIP/2.0 ")?.split(' ').next()?;
    code.parse().ok().filter(|code| (100..700).contains(code))
}

/// A header among those of a URI (`Replaces=...&Require=...`), unescaped.
fn uri_header(headers: &str, name: &str) -> Option<String> {
    headers.split('&').find_map(|pair| {
        let (own, value) = pair.split_once('=')?;
        own.eq_ignore_ascii_case(name).then(|| unescape(value))?
    })
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                bytes.push((high * 16 + low) as u8);
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).ok()
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        match byte {
            b'-' | b'_' | b'.' | b'~' => out.push(byte.into()),
            _ if byte.is_ascii_alphanumeric() => out.push(byte.into()),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Message, parse};

    fn referred_to(values: &[&str]) -> Result<(String, String), Reply> {
        let mut text = "REFER sip:1001@192.0.2.7 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n\
             From: <sip:605@192.0.2.1>;tag=a\r\nTo: <sip:1001@192.0.2.1>;tag=b\r\nCall-ID: c\r\nCSeq: 1 REFER\r\n\
             Max-Forwards: 70\r\n"
            .to_owned();
        for value in values {
            let _ = write!(text, "Refer-To: {value}\r\n");
        }
        text += "Content-Length: 0\r\n\r\n";
        let Ok(Message::Request(request)) = parse(text.as_bytes()) else {
            panic!("not read: {text}");
        };
        refer_to_of(&request).map(|to| (uri_text(&to.uri), to.uri_headers))
    }

    #[test]
    fn an_address_with_headers_is_read_without_its_brackets_too_as_asterisk_writes_it() {
        let read = (
            "sip:1003@192.0.2.1:5060".to_owned(),
            "Replaces=x%3Bto-tag%3Dy".to_owned(),
        );
        for value in [
            "<sip:1003@192.0.2.1:5060?Replaces=x%3Bto-tag%3Dy>",
            "sip:1003@192.0.2.1:5060?Replaces=x%3Bto-tag%3Dy",
        ] {
            assert_eq!(referred_to(&[value]).as_ref(), Ok(&read), "{value}");
        }
        for wrong in [
            &[][..],
            &["<sip:1@a>", "<sip:2@a>"],
            &["sip:1@a?b, sip:2@a?c"],
        ] {
            let refused = referred_to(wrong).map_err(|reply| reply.code);
            assert_eq!(refused, Err(400), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_escaped_comes_back_and_broken_escapes_are_refused() {
        let text = "abc@1.2.3.4;to-tag=ü;from-tag=%";
        assert_eq!(unescape(&escape(text)).as_deref(), Some(text));
        for broken in ["%", "%4", "%zz", "%ff"] {
            assert_eq!(unescape(broken), None, "{broken}");
        }
        let headers = "Require=replaces&replaces=a%40b%3Bto-tag%3D1";
        assert_eq!(
            uri_header(headers, "Replaces").as_deref(),
            Some("a@b;to-tag=1")
        );
    }

    #[test]
    fn a_status_line_is_read_and_nonsense_is_not() {
        assert_eq!(status_of(b"SIP/2.0 200 OK\r\n"), Some(200));
        assert_eq!(status_of(b"SIP/2.0 486"), Some(486));
        for nonsense in [&b""[..], b"200 OK", b"SIP/2.0 OK", b"SIP/2.0 99 x", b"\xff"] {
            assert_eq!(status_of(nonsense), None);
        }
    }
}
