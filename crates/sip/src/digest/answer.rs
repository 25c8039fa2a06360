//! The client's answers to challenges.

use crate::message::text::quote;
use crate::message::{Headers, HeadersView, Request, uri_text};

use super::Credentials;
use super::challenge::{Challenge, Fields, Inputs, Protection};

/// Most places that one request proves itself to: the server and the proxies on the way.
const MAX_SPACES: usize = 8;
/// Longest realm, nonce and opaque that are answered, in bytes: they all come back in every request.
const MAX_FIELD: usize = 1024;
/// The two kinds of places: what challenges, and what answers it.
const KINDS: [(&str, &str); 2] = [
    ("WWW-Authenticate", "Authorization"),
    ("Proxy-Authenticate", "Proxy-Authorization"),
];

/// A challenge that cannot be answered, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnusableChallenge(pub String);

/// What is known of everybody who challenged us: a nonce with its counter for the server and for each proxy
/// (RFC 3261 section 22, RFC 7616 section 3.4).
#[derive(Debug, Clone, Default)]
pub struct ClientDigest {
    spaces: Vec<Space>,
}

/// One protection space: a realm of the server or of a proxy.
#[derive(Debug, Clone)]
struct Space {
    challenge: Challenge,
    proxy: bool,
    cnonce: String,
    /// The nonce of the challenge that the session began with.
    session_nonce: String,
    count: u32,
}

impl ClientDigest {
    /// Takes the strongest usable challenge of each realm in a 401 or 407.
    pub fn from_response(headers: &Headers, cnonce: String) -> Result<Self, UnusableChallenge> {
        let mut digest = Self::default();
        digest.challenged(headers, &cnonce)?;
        Ok(digest)
    }

    /// The same, beside what is known of other realms. An error when none of the challenges can be answered.
    pub fn challenged(&mut self, headers: &Headers, cnonce: &str) -> Result<(), UnusableChallenge> {
        let mut reason = "no challenge in the answer".to_owned();
        let mut fresh: Vec<Space> = Vec::new();
        for (proxy, (name, _)) in [false, true].into_iter().zip(KINDS) {
            for value in headers.texts(name) {
                match Challenge::parse(value).map_err(|refusal| refusal.reason) {
                    Ok(challenge) if is_too_long(&challenge) => {
                        "the challenge is too long".clone_into(&mut reason);
                    }
                    Ok(challenge) => prefer(&mut fresh, Space::new(challenge, proxy, cnonce)),
                    Err(why) => reason = why,
                }
            }
        }
        if fresh.is_empty() {
            return Err(UnusableChallenge(reason));
        }
        self.spaces
            .retain(|old| !fresh.iter().any(|new| new.is_same_place(old)));
        self.spaces.extend(fresh);
        let too_many = self.spaces.len().saturating_sub(MAX_SPACES);
        self.spaces.drain(..too_many);
        Ok(())
    }

    /// Whether a 401 or 407 to this request refuses an answer that the request carried: the password is wrong, and
    /// not only the nonce old.
    pub fn is_refused(request: &Request, headers: &Headers) -> bool {
        KINDS.iter().any(|(challenged, answered)| {
            let realms: Vec<String> = request
                .headers
                .texts(answered)
                .filter_map(|value| Fields::parse(value).ok()?.get("realm"))
                .collect();
            headers
                .texts(challenged)
                .filter_map(|value| Challenge::parse(value).ok())
                .any(|challenge| !challenge.stale && realms.contains(&challenge.realm))
        })
    }

    /// Takes the next nonce of a success (Authentication-Info, RFC 7616 section 3.5), which saves a round trip.
    pub fn accepted(&mut self, headers: &Headers) {
        let places = [
            (false, "Authentication-Info"),
            (true, "Proxy-Authentication-Info"),
        ];
        for (proxy, name) in places {
            let next = headers
                .texts(name)
                .find_map(|value| Fields::list(value).get("nextnonce"))
                .filter(|nonce| !nonce.is_empty() && nonce.len() <= MAX_FIELD);
            let mut spaces = self.spaces.iter_mut().filter(|space| space.proxy == proxy);
            // With several of a kind nobody says whose it is.
            if let (Some(next), Some(space), None) = (next, spaces.next(), spaces.next()) {
                space.challenge.nonce = next;
                space.count = 0;
            }
        }
    }

    /// Puts the answers into a request, in place of older ones; each call counts the nonces up.
    pub fn authorise(&mut self, request: &mut Request, credentials: &Credentials) {
        let others = std::mem::take(&mut request.headers).into_iter();
        let is_answer = |name: &str| KINDS.iter().any(|(_, answer)| *answer == name);
        let others: Vec<_> = others
            .filter(|field| !is_answer(crate::message::name_and_value(field).0))
            .collect();
        request.headers = others.into();
        let uri = uri_text(&request.uri);
        let answers = self.answers(credentials, request.method.as_str(), &uri, &request.body);
        for (name, value) in answers {
            request.headers.add(name, value);
        }
    }

    /// The answers for a request of this method, Request-URI and body: names and values of headers.
    pub fn answers(
        &mut self,
        credentials: &Credentials,
        method: &str,
        uri: &str,
        body: &[u8],
    ) -> Vec<(&'static str, String)> {
        let [(_, server), (_, proxy)] = KINDS;
        let spaces = self.spaces.iter_mut();
        spaces
            .map(|space| {
                let name = if space.proxy { proxy } else { server };
                (name, space.answer(credentials, method, uri, body))
            })
            .collect()
    }
}

impl Space {
    fn new(challenge: Challenge, proxy: bool, cnonce: &str) -> Self {
        Self {
            session_nonce: challenge.nonce.clone(),
            challenge,
            proxy,
            cnonce: cnonce.to_owned(),
            count: 0,
        }
    }

    fn is_same_place(&self, other: &Self) -> bool {
        (self.proxy, &self.challenge.realm) == (other.proxy, &other.challenge.realm)
    }

    fn answer(
        &mut self,
        credentials: &Credentials,
        method: &str,
        uri: &str,
        body: &[u8],
    ) -> String {
        self.count = self.count.saturating_add(1);
        let nc = format!("{:08x}", self.count);
        let challenge = &self.challenge;
        // auth where both are offered: proxies may touch a body.
        let qop = &challenge.qop;
        let protection = qop
            .iter()
            .find(|one| **one == Protection::Auth)
            .or(qop.first());
        let inputs = Inputs {
            algorithm: challenge.algorithm,
            username: &credentials.username,
            realm: &challenge.realm,
            nonce: &challenge.nonce,
            method,
            uri,
            body,
            qop: protection.map(|protection| (*protection, nc.as_str())),
            cnonce: &self.cnonce,
            session_nonce: &self.session_nonce,
        };
        let mut value = format!(
            "Digest username={}, realm={}, nonce={}, uri={}, response=\"{}\", algorithm={}",
            quote(&credentials.username),
            quote(&challenge.realm),
            quote(&challenge.nonce),
            quote(uri),
            inputs.response(&credentials.password),
            challenge.algorithm.token(),
        );
        if let Some(protection) = protection {
            value.push_str(&format!(", qop={}, nc={nc}", protection.token()));
        }
        if protection.is_some() || challenge.algorithm.is_session() {
            value.push_str(&format!(", cnonce={}", quote(&self.cnonce)));
        }
        if let Some(opaque) = &challenge.opaque {
            value.push_str(&format!(", opaque={}", quote(opaque)));
        }
        value
    }
}

/// Keeps the stronger of two challenges of one place; the first of two equal ones (RFC 8760 section 2.4).
fn prefer(spaces: &mut Vec<Space>, new: Space) {
    match spaces.iter_mut().find(|old| old.is_same_place(&new)) {
        Some(old) if old.challenge.algorithm < new.challenge.algorithm => *old = new,
        Some(_) => {}
        None => spaces.push(new),
    }
}

fn is_too_long(challenge: &Challenge) -> bool {
    let opaque = challenge.opaque.as_ref().map_or(0, String::len);
    let longest = challenge.realm.len().max(challenge.nonce.len()).max(opaque);
    longest > MAX_FIELD
}
