//! The client's answer to a challenge.

use crate::message::text::quote;
use crate::message::{Headers, HeadersView};

use super::Credentials;
use super::challenge::{Challenge, Inputs};

/// A challenge that cannot be answered, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnusableChallenge(pub String);

/// Answers to one challenge, with the nonce counter that RFC 7616 section 3.4 asks for.
#[derive(Debug, Clone)]
pub struct ClientDigest {
    challenge: Challenge,
    proxy: bool,
    cnonce: String,
    count: u32,
}

impl ClientDigest {
    /// Takes the strongest usable challenge of a 401 or 407.
    pub fn from_response(headers: &Headers, cnonce: String) -> Result<Self, UnusableChallenge> {
        let offered = |name, proxy| {
            headers
                .texts(name)
                .map(move |value| (Challenge::parse(value), proxy))
                .collect::<Vec<_>>()
        };
        let mut reason = "no challenge in the answer".to_owned();
        let mut best: Option<(Challenge, bool)> = None;
        for (parsed, proxy) in offered("WWW-Authenticate", false)
            .into_iter()
            .chain(offered("Proxy-Authenticate", true))
        {
            match parsed {
                Ok(challenge)
                    if best
                        .as_ref()
                        .is_none_or(|(best, _)| best.algorithm < challenge.algorithm) =>
                {
                    best = Some((challenge, proxy));
                }
                Ok(_) => {}
                Err(refusal) => reason = refusal.reason,
            }
        }
        let (challenge, proxy) = best.ok_or(UnusableChallenge(reason))?;
        Ok(Self {
            challenge,
            proxy,
            cnonce,
            count: 0,
        })
    }

    /// Whether the challenge says only that the nonce was old.
    pub fn is_stale(&self) -> bool {
        self.challenge.stale
    }

    /// The nonce, to see whether a new challenge differs from one already answered.
    pub fn nonce(&self) -> &str {
        &self.challenge.nonce
    }

    /// The header that carries the answer.
    pub fn header_name(&self) -> &'static str {
        match self.proxy {
            true => "Proxy-Authorization",
            false => "Authorization",
        }
    }

    /// The value for one request; each call counts the nonce up.
    pub fn answer(&mut self, credentials: &Credentials, method: &str, uri: &str) -> String {
        self.count += 1;
        let nc = format!("{:08x}", self.count);
        let challenge = &self.challenge;
        let inputs = Inputs {
            algorithm: challenge.algorithm,
            username: &credentials.username,
            realm: &challenge.realm,
            nonce: &challenge.nonce,
            method,
            uri,
            qop: challenge
                .qop_auth
                .then_some((self.cnonce.as_str(), nc.as_str())),
            cnonce: &self.cnonce,
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
        if challenge.qop_auth {
            value.push_str(&format!(
                ", qop=auth, nc={nc}, cnonce={}",
                quote(&self.cnonce)
            ));
        } else if matches!(
            challenge.algorithm,
            super::Algorithm::Md5Sess | super::Algorithm::Sha256Sess
        ) {
            value.push_str(&format!(", cnonce={}", quote(&self.cnonce)));
        }
        if let Some(opaque) = &challenge.opaque {
            value.push_str(&format!(", opaque={}", quote(opaque)));
        }
        value
    }
}
