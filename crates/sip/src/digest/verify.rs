//! The server's side: nonces that need no memory, and verification.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use super::challenge::{Algorithm, Challenge, Fields, Inputs, Protection, hex};
use crate::message::{HeadersView, Request, parse_uri};

/// Nonces whose counters are remembered, so that an answer cannot be replayed.
const MAX_COUNTERS: usize = 4096;

/// Challenges and verifies for one realm.
///
/// A nonce is the time it was made plus a keyed hash of it, so that challenges cost no memory; only nonces that
/// were answered rightly are remembered, for their counters.
#[derive(Debug)]
pub struct Authenticator {
    realm: String,
    key: [u8; 32],
    epoch: Instant,
    lifetime: Duration,
    algorithms: Vec<Algorithm>,
    qop: Vec<Protection>,
    counters: HashMap<String, u32>,
}

/// What an Authorization header proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The user knows the password.
    Accepted {
        /// The user name of the digest.
        username: String,
    },
    /// The answer is right but its nonce is old or counted backwards: challenge again with `stale`.
    Stale,
    /// There is no answer for our realm: challenge.
    Missing,
    /// The password is wrong, the user unknown, the header malformed, without the protection that was offered, or made
    /// for another request: 403, or challenge again.
    Refused,
}

impl Authenticator {
    /// An authenticator that accepts a nonce for `lifetime`. `key` must be random.
    pub fn new(realm: impl Into<String>, key: [u8; 32], lifetime: Duration, now: Instant) -> Self {
        Self {
            realm: realm.into(),
            key,
            epoch: now,
            lifetime,
            algorithms: vec![Algorithm::Md5],
            qop: vec![Protection::Auth],
            counters: HashMap::new(),
        }
    }

    /// The same with these algorithms, best first (RFC 8760 section 2.3). MD5 alone by default.
    pub fn with_algorithms(mut self, algorithms: Vec<Algorithm>) -> Self {
        self.algorithms = algorithms;
        self
    }

    /// The same with what may be protected, best first. `auth` alone by default.
    pub fn with_qop(mut self, qop: Vec<Protection>) -> Self {
        self.qop = qop;
        self
    }

    /// The WWW-Authenticate values of a challenge, one an algorithm.
    pub fn challenges(&self, now: Instant, stale: bool) -> Vec<String> {
        let nonce = self.nonce(now.saturating_duration_since(self.epoch).as_millis());
        let challenge = |&algorithm| Challenge {
            realm: self.realm.clone(),
            nonce: nonce.clone(),
            opaque: None,
            algorithm,
            qop: self.qop.clone(),
            stale,
        };
        self.algorithms
            .iter()
            .map(challenge)
            .map(|challenge| challenge.header_value())
            .collect()
    }

    /// Checks a request's Authorization for our realm; `password` finds a user's password.
    pub fn verify(
        &mut self,
        now: Instant,
        request: &Request,
        password: impl FnOnce(&str) -> Option<String>,
    ) -> Verdict {
        let ours = request
            .headers
            .texts("Authorization")
            .filter_map(|value| Fields::parse(value).ok())
            .find(|fields| fields.get("realm").as_deref() == Some(&self.realm));
        let Some(fields) = ours else {
            return Verdict::Missing;
        };
        let Some(answer) = Answer::read(&fields, &self.algorithms) else {
            return Verdict::Refused;
        };
        if !self.takes(&answer) || !answer.is_for(request) {
            return Verdict::Refused;
        }
        let expected = password(&answer.username)
            .map(|password| answer.inputs(&self.realm, request).response(&password));
        if !expected.is_some_and(|expected| equal(&expected, &answer.response)) {
            return Verdict::Refused;
        }
        if !self.is_fresh(now, &answer.nonce) || !self.counts_up(&answer) {
            return Verdict::Stale;
        }
        Verdict::Accepted {
            username: answer.username,
        }
    }

    /// Whether it protects as was offered: an answer without qop counts no requests and could be played again (RFC 7616
    /// section 3.4).
    fn takes(&self, answer: &Answer) -> bool {
        match &answer.qop {
            None => self.qop.is_empty(),
            Some((qop, _)) => self.qop.contains(qop),
        }
    }

    fn nonce(&self, millis: u128) -> String {
        let mut hash = Sha256::new();
        hash.update(self.key);
        hash.update(millis.to_be_bytes());
        let digest = hash.finalize();
        format!("{millis:x}-{}", hex(digest.get(..16).unwrap_or_default()))
    }

    fn is_fresh(&self, now: Instant, nonce: &str) -> bool {
        let made = nonce
            .split_once('-')
            .and_then(|(millis, _)| u128::from_str_radix(millis, 16).ok());
        let Some(made) = made.filter(|made| equal(&self.nonce(*made), nonce)) else {
            return false;
        };
        let age = now
            .saturating_duration_since(self.epoch)
            .as_millis()
            .saturating_sub(made);
        age <= self.lifetime.as_millis()
    }

    fn counts_up(&mut self, answer: &Answer) -> bool {
        let Some(nc) = answer
            .qop
            .as_ref()
            .and_then(|(_, nc)| u32::from_str_radix(nc, 16).ok())
        else {
            return answer.qop.is_none();
        };
        if self.counters.len() >= MAX_COUNTERS && !self.counters.contains_key(&answer.nonce) {
            // Forgetting them makes their owners answer one more challenge, no worse.
            self.counters.clear();
        }
        let last = self.counters.entry(answer.nonce.clone()).or_default();
        let counts_up = nc > *last;
        *last = nc.max(*last);
        counts_up
    }
}

struct Answer {
    username: String,
    nonce: String,
    uri: String,
    response: String,
    algorithm: Algorithm,
    qop: Option<(Protection, String)>,
    cnonce: String,
}

impl Answer {
    fn read(fields: &Fields, offered: &[Algorithm]) -> Option<Self> {
        let algorithm = match fields.get("algorithm") {
            None => Algorithm::Md5,
            Some(token) => Algorithm::from_token(&token)?,
        };
        let cnonce = fields.get("cnonce").unwrap_or_default();
        let qop = match fields.get("qop") {
            None => None,
            Some(qop) => Some((Protection::from_token(&qop)?, fields.get("nc")?)),
        };
        Some(Self {
            username: fields.get("username")?,
            nonce: fields.get("nonce")?,
            uri: fields.get("uri")?,
            response: fields.get("response")?.to_ascii_lowercase(),
            algorithm: Some(algorithm).filter(|algorithm| offered.contains(algorithm))?,
            qop,
            cnonce,
        })
    }

    /// Whether it was made for this Request-URI (RFC 7616 section 3.4.6): else an answer overheard on one request would
    /// open another.
    fn is_for(&self, request: &Request) -> bool {
        parse_uri(&self.uri).is_ok_and(|uri| uri == request.uri)
    }

    fn inputs<'a>(&'a self, realm: &'a str, request: &'a Request) -> Inputs<'a> {
        Inputs {
            algorithm: self.algorithm,
            username: &self.username,
            realm,
            nonce: &self.nonce,
            method: request.method.as_str(),
            uri: &self.uri,
            body: &request.body,
            qop: self.qop.as_ref().map(|(qop, nc)| (*qop, nc.as_str())),
            cnonce: &self.cnonce,
            session_nonce: &self.nonce,
        }
    }
}

/// Compares without stopping at the first difference, so that timing tells nothing.
fn equal(a: &str, b: &str) -> bool {
    a.len() == b.len()
        && a.bytes()
            .zip(b.bytes())
            .fold(0, |difference, (a, b)| difference | (a ^ b))
            == 0
}
