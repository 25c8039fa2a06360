//! `a=crypto`: keys in the description (RFC 4568).
//!
//! A line that asks for anything we do not do (no encryption, a master key index, a rate of key derivation) is passed
//! over as if it were not there: half of what was asked would be less than either side believes.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use rand::Rng;
use sdp_types::Media;

use crate::srtp::{Keys, MasterKey, Policy, Suite};

/// Our side of the encryption of one call: the policy, and a key for each suite, the same for as long as the call lasts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Security {
    policy: Policy,
    keys: Vec<MasterKey>,
}

/// One line that we can use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CryptoLine {
    pub(super) tag: u32,
    pub(super) key: MasterKey,
}

impl Security {
    /// Keys by chance, where the policy asks for any. `random` must be fit for keys.
    pub fn new(policy: Policy, random: &mut impl Rng) -> Security {
        let suites = match policy {
            Policy::Off => &[][..],
            Policy::Optional | Policy::Required => &Suite::ALL[..],
        };
        Security {
            policy,
            keys: suites
                .iter()
                .map(|suite| MasterKey::random(*suite, random))
                .collect(),
        }
    }

    pub(super) fn policy(&self) -> Policy {
        self.policy
    }

    /// The transport of our offers.
    pub(super) fn transport(&self) -> &'static str {
        match self.policy {
            Policy::Off | Policy::Optional => "RTP/AVP",
            Policy::Required => "RTP/SAVP",
        }
    }

    /// What our offers say, tagged from 1.
    pub(super) fn offered(&self) -> Vec<CryptoLine> {
        let lines = self.keys.iter().zip(1..);
        lines
            .map(|(key, tag)| CryptoLine {
                tag,
                key: key.clone(),
            })
            .collect()
    }

    /// Our line in answer to the first of theirs that we can use, and the keys of both ways.
    pub(super) fn answered(&self, theirs: &[CryptoLine]) -> Option<(CryptoLine, Keys)> {
        theirs.iter().find_map(|line| {
            // A key of ours in the other side's mouth would make our own packets pass for theirs.
            let ours = self
                .key(line.key.suite())
                .filter(|ours| **ours != line.key)?;
            let answer = CryptoLine {
                tag: line.tag,
                key: ours.clone(),
            };
            let keys = Keys {
                send: ours.clone(),
                receive: line.key.clone(),
            };
            Some((answer, keys))
        })
    }

    /// The keys that an answer to our offer settles: one line, under a tag and a suite that stood in it together.
    pub(super) fn settled(&self, theirs: &[CryptoLine]) -> Option<Keys> {
        let [line] = theirs else {
            return None;
        };
        let offered = self.offered();
        let ours = offered.iter().find(|ours| ours.tag == line.tag)?;
        let fits = ours.key.suite() == line.key.suite() && ours.key != line.key;
        fits.then(|| Keys {
            send: ours.key.clone(),
            receive: line.key.clone(),
        })
    }

    fn key(&self, suite: Suite) -> Option<&MasterKey> {
        self.keys.iter().find(|key| key.suite() == suite)
    }
}

impl CryptoLine {
    pub(super) fn write(&self, media: &mut Media) {
        let (tag, suite) = (self.tag, self.key.suite().name());
        let key = STANDARD.encode(self.key.as_bytes());
        media.add_attribute_with_value("crypto", format!("{tag} {suite} inline:{key}"));
    }
}

/// True when a line says anything about keys, whether or not we can use it.
pub(super) fn is_offered(media: &Media) -> bool {
    media
        .attributes
        .iter()
        .any(|attribute| attribute.attribute == "crypto")
}

/// The lines of a stream that we can use, in the writer's order.
pub(super) fn read(media: &Media) -> Vec<CryptoLine> {
    media
        .attributes
        .iter()
        .filter(|attribute| attribute.attribute == "crypto")
        .filter_map(|attribute| line(attribute.value.as_deref()?))
        .collect()
}

/// `tag suite inline:key[|lifetime] [parameters]`
fn line(text: &str) -> Option<CryptoLine> {
    let mut words = text.split_ascii_whitespace();
    let tag = words.next()?.parse().ok()?;
    let name = words.next()?;
    let suite = Suite::ALL
        .into_iter()
        .find(|suite| suite.name().eq_ignore_ascii_case(name))?;
    let parameters = words.next()?;
    // A hint for the window's size changes nothing that the other side could notice.
    if words.any(|word| !word.to_ascii_uppercase().starts_with("WSH=")) {
        return None;
    }
    let (method, inline) = parameters.split_once(':')?;
    if !method.eq_ignore_ascii_case("inline") || inline.contains(';') {
        return None;
    }
    let mut parts = inline.split('|');
    let key = parts.next()?;
    // A lifetime is kept anyway: no call lasts for 2^31 packets. `MKI:length` would change every packet.
    if parts.any(|part| part.contains(':')) {
        return None;
    }
    let decoded = STANDARD
        .decode(key)
        .or_else(|_| STANDARD_NO_PAD.decode(key));
    let key = MasterKey::from_bytes(suite, &decoded.ok()?)?;
    Some(CryptoLine { tag, key })
}
