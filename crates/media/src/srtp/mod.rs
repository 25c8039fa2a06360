//! SRTP and SRTCP (RFC 3711, RFC 7714) under keys that SDP carries (RFC 4568).
//!
//! Owns what is encrypted and how, the index of every packet, and who is believed: a packet is judged by its tag and by
//! the replay window before anything else looks at it, and one that fails leaves no trace but a count. Key agreement is
//! [`sdp`](crate::sdp)'s: keys come from there, and how safe they are is how safe SIP's transport is.
//!
//! ```text
//! RTP ─► header │ payload ─► encrypt ─► tag ─► wire ─► tag? ─► new? ─► decrypt ─► RTP
//! ```

mod cipher;
mod context;
mod index;
#[cfg(test)]
mod tests;

use std::fmt;

use rand::Rng;
use thiserror::Error;
use zeroize::Zeroize;

pub(crate) use context::{Protector, Unprotector};

/// A crypto suite: cipher, tag and key lengths (RFC 4568 section 6.2, RFC 7714 section 14.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Suite {
    /// AES-128 in counter mode, HMAC-SHA1 cut to 80 bits: what everybody speaks.
    AesCm128HmacSha1_80,
    /// The same, the tag of RTP cut to 32 bits.
    AesCm128HmacSha1_32,
    /// AES-128 in Galois/counter mode, a tag of 128 bits.
    AeadAes128Gcm,
    /// AES-256 in Galois/counter mode, a tag of 128 bits.
    AeadAes256Gcm,
}

impl Suite {
    /// In the order of our offers: the strongest that costs least first, the short tag last.
    pub const ALL: [Suite; 4] = [
        Suite::AeadAes256Gcm,
        Suite::AeadAes128Gcm,
        Suite::AesCm128HmacSha1_80,
        Suite::AesCm128HmacSha1_32,
    ];

    /// The name in `a=crypto`.
    pub fn name(self) -> &'static str {
        match self {
            Suite::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Suite::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
            Suite::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Suite::AeadAes256Gcm => "AEAD_AES_256_GCM",
        }
    }

    /// Bytes of the master key.
    pub fn key_length(self) -> usize {
        match self {
            Suite::AeadAes256Gcm => 32,
            _ => 16,
        }
    }

    /// Bytes of the master salt.
    pub fn salt_length(self) -> usize {
        match self {
            Suite::AesCm128HmacSha1_80 | Suite::AesCm128HmacSha1_32 => 14,
            Suite::AeadAes128Gcm | Suite::AeadAes256Gcm => 12,
        }
    }

    /// Bytes of key and salt together, as SDP carries them.
    pub fn master_length(self) -> usize {
        self.key_length() + self.salt_length()
    }
}

/// Whether sound is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Policy {
    /// Never: keys are neither offered nor taken.
    #[default]
    Off,
    /// Where the other side can. Offered as plain RTP with keys beside it, so that those who know no SRTP answer too.
    Optional,
    /// Always, or there is no call.
    Required,
}

impl std::str::FromStr for Policy {
    type Err = UnknownPolicy;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "off" => Ok(Policy::Off),
            "optional" => Ok(Policy::Optional),
            "required" => Ok(Policy::Required),
            _ => Err(UnknownPolicy(word.to_owned())),
        }
    }
}

/// The word is no policy.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown policy {0:?}: known are off, optional and required")]
pub struct UnknownPolicy(pub String);

/// The longest master key with its salt.
const LONGEST: usize = 46;

/// A master key and its salt. Never shown, forgotten when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey {
    suite: Suite,
    bytes: [u8; LONGEST],
}

impl MasterKey {
    /// A key by chance.
    pub fn random(suite: Suite, random: &mut impl Rng) -> MasterKey {
        let mut bytes = [0; LONGEST];
        random.fill(&mut bytes[..suite.master_length()]);
        MasterKey { suite, bytes }
    }

    /// Key and salt as SDP carries them; `None` when the length is not the suite's.
    pub fn from_bytes(suite: Suite, master: &[u8]) -> Option<MasterKey> {
        let mut bytes = [0; LONGEST];
        let fits = master.len() == suite.master_length();
        bytes.get_mut(..master.len())?.copy_from_slice(master);
        fits.then_some(MasterKey { suite, bytes })
    }

    /// What it is for.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// Key and salt as SDP carries them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.suite.master_length()]
    }

    fn key_and_salt(&self) -> (&[u8], &[u8]) {
        self.as_bytes().split_at(self.suite.key_length())
    }
}

impl Drop for MasterKey {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.suite.name())
    }
}

/// The keys of both ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// Of what we send.
    pub send: MasterKey,
    /// Of what we receive.
    pub receive: MasterKey,
}

/// Why a packet was not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Refusal {
    /// No RTP, or too short for a tag.
    #[error("it is malformed")]
    Malformed,
    /// The tag is wrong: forged, damaged, or under another key.
    #[error("its tag is wrong")]
    Unauthentic,
    /// It was here before, or is too old to tell.
    #[error("it was here before")]
    Replayed,
    /// The key has protected as many packets as it may (RFC 3711 section 9.2).
    #[error("the key is used up")]
    UsedUp,
}
