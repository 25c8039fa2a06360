//! INVITEs that are sent again in another form: redirections (RFC 3261 section 8.1.3.4), longer session intervals
//! (RFC 4028 section 7.4).

use std::time::Instant;

use super::call::State;
use super::{CallId, Event, Pending, Purpose, UserAgent};
use crate::message::{HeadersView, NameAddr, Request, Response, Uri, name_and_value, uri_text};
use crate::transaction::ClientId;

/// New addresses that are tried for one call.
const MAX_REDIRECTS: usize = 5;

/// Where a call was sent to, and where else it may be.
#[derive(Debug, Default)]
pub(super) struct Redirects {
    tried: Vec<String>,
    /// Best first.
    left: Vec<Uri>,
    /// The interval was raised once as the other side asked.
    raised: bool,
}

impl Redirects {
    /// Notes what a 3xx names (RFC 3261 section 8.1.3.4) and takes the best that was not tried.
    fn next(&mut self, from: &Uri, contacts: Vec<NameAddr>) -> Option<Uri> {
        self.tried.push(uri_text(from));
        let mut found: Vec<_> = contacts
            .into_iter()
            .map(|contact| (weight(&contact), contact.uri))
            .collect();
        found.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
        let found: Vec<Uri> = found.into_iter().map(|(_, uri)| uri).collect();
        // The newest answer's addresses come before those that an older one left.
        self.left.splice(..0, found);
        self.left.truncate(MAX_REDIRECTS);
        if self.tried.len() > MAX_REDIRECTS {
            return None;
        }
        let tried = &self.tried;
        let at = self
            .left
            .iter()
            .position(|uri| !tried.contains(&uri_text(uri)))?;
        Some(self.left.remove(at))
    }
}

impl UserAgent {
    /// Sends a refused INVITE again where the refusal says how; false when it is final.
    pub(super) fn tries_again(
        &mut self,
        now: Instant,
        id: CallId,
        client: ClientId,
        code: u16,
        response: &Response,
    ) -> bool {
        let is_current = self.calls.get(id).is_some_and(|call| {
            matches!(call.state, State::Calling { client: own, cancelled: false, .. } if own == client)
        });
        is_current
            && match code {
                300..=302 => self.follow(now, id, client, response),
                422 => self.raise_interval(now, id, client, response),
                _ => false,
            }
    }

    fn follow(&mut self, now: Instant, id: CallId, client: ClientId, response: &Response) -> bool {
        let Some(call) = self.calls.get_mut(id) else {
            return false;
        };
        let contacts = response.headers.contacts();
        let Some(target) = call.redirects.next(&call.invite.uri, contacts) else {
            return false;
        };
        let Some((mut request, destination)) = self.next_invite(client) else {
            return false;
        };
        request.uri = target.clone();
        // An answer to the other address's challenge is worth nothing here.
        let is_answer = |name: &str| matches!(name, "Authorization" | "Proxy-Authorization");
        let fields = std::mem::take(&mut request.headers).into_iter();
        let fields: Vec<_> = fields
            .filter(|field| !is_answer(name_and_value(field).0))
            .collect();
        request.headers = fields.into();
        self.send_invite_again(
            now,
            id,
            request,
            destination,
            Pending::new(Purpose::Invite(id)),
        );
        self.events
            .push_back(Event::Redirected { call: id, target });
        true
    }

    fn raise_interval(
        &mut self,
        now: Instant,
        id: CallId,
        client: ClientId,
        response: &Response,
    ) -> bool {
        let Some(least) = response.headers.seconds("Min-SE") else {
            return false;
        };
        let Some((mut request, destination)) = self.next_invite(client) else {
            return false;
        };
        let Some(call) = self.calls.get_mut(id) else {
            return false;
        };
        if std::mem::replace(&mut call.redirects.raised, true) {
            return false;
        }
        super::session_timer::raise(&mut request.headers, least);
        self.send_invite_again(
            now,
            id,
            request,
            destination,
            Pending::new(Purpose::Invite(id)),
        );
        true
    }

    /// The same INVITE with the next number.
    fn next_invite(&self, client: ClientId) -> Option<(Request, std::net::SocketAddr)> {
        let (request, destination) = self.layer.sent(client)?;
        let mut request = request.clone();
        let number = request.headers.cseq_view().ok()?.number + 1;
        request.headers.set("CSeq", format!("{number} INVITE"));
        Some((request, destination))
    }
}

/// The q value in thousandths; 1 without one.
fn weight(contact: &NameAddr) -> u16 {
    let q = contact.params.get("q").and_then(|q| q.parse::<f32>().ok());
    (q.unwrap_or(1.0).clamp(0.0, 1.0) * 1000.0) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::parse_uri;

    fn contact(text: &str) -> NameAddr {
        NameAddr::parse(text).expect("readable")
    }

    #[test]
    fn the_best_address_that_was_not_tried_comes_next_and_the_chase_ends() {
        let mut redirects = Redirects::default();
        let from = parse_uri("sip:600@a").expect("readable");
        let contacts = vec![
            contact("<sip:600@a>"),
            contact("<sip:600@low>;q=0.1"),
            contact("<sip:600@high>;q=0.9"),
        ];
        let next = redirects.next(&from, contacts).expect("one");
        assert_eq!(uri_text(&next), "sip:600@high");
        let next = redirects.next(&next, Vec::new()).expect("one left");
        assert_eq!(uri_text(&next), "sip:600@low");
        assert_eq!(redirects.next(&next, vec![contact("<sip:600@high>")]), None);
        let mut at = next;
        for hop in 0..3 {
            let onwards = vec![contact(&format!("<sip:600@hop{hop}>"))];
            match redirects.next(&at, onwards) {
                Some(next) => at = next,
                None => return,
            }
        }
        panic!("it would go on for ever");
    }
}
