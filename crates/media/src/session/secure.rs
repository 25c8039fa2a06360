//! The lock on the session's door: what comes in is opened before anything looks at it, what goes out is sealed last.

use super::Session;
use crate::rtcp;
use crate::srtp::{Keys, Protector, Refusal, Unprotector};

/// Both ways' state under the keys that were agreed on.
#[derive(Debug)]
pub(super) struct Secured {
    protector: Protector,
    unprotector: Unprotector,
    // Kept for its capacity.
    packet: Vec<u8>,
}

impl Secured {
    /// What comes after an agreement: a key that stays keeps its counters and its replay window (RFC 3711 section
    /// 3.3.1), a new one begins its own.
    pub(super) fn follow(before: Option<Secured>, keys: Option<&Keys>) -> Option<Secured> {
        let keys = keys?;
        let Some(before) = before else {
            return Some(Secured {
                protector: Protector::new(&keys.send),
                unprotector: Unprotector::new(&keys.receive),
                packet: Vec::new(),
            });
        };
        Some(Secured {
            protector: match *before.protector.key() == keys.send {
                true => before.protector,
                false => Protector::new(&keys.send),
            },
            unprotector: match *before.unprotector.key() == keys.receive {
                true => before.unprotector,
                false => before.unprotector.rekeyed(&keys.receive),
            },
            packet: before.packet,
        })
    }

    /// None: the packet must not be sent.
    pub(super) fn protect(&mut self, packet: &mut Vec<u8>) -> Option<()> {
        let sealed = self.protector.protect(packet);
        sealed.map_err(report).ok()
    }

    /// The same for a report.
    pub(super) fn protect_report(&mut self, packet: &mut Vec<u8>) -> Option<()> {
        let sealed = self.protector.protect_rtcp(packet);
        sealed.map_err(report).ok()
    }

    fn open(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.packet.clear();
        self.packet.extend_from_slice(bytes);
        match rtcp::is_rtcp(bytes) {
            true => self.unprotector.unprotect_rtcp(&mut self.packet),
            false => self.unprotector.unprotect(&mut self.packet),
        }
    }
}

fn report(refusal: Refusal) {
    tracing::debug!(%refusal, "a packet could not be protected");
}

impl Session {
    /// Gives `take` what a datagram holds. One that does not open goes no further than the counters.
    pub(super) fn opened(&mut self, bytes: &[u8], take: impl FnOnce(&mut Session, &[u8])) {
        let Some(mut secured) = self.secured.take() else {
            return take(self, bytes);
        };
        match secured.open(bytes) {
            Ok(()) => take(self, &secured.packet),
            Err(Refusal::Replayed) => self.counters.replayed += 1,
            Err(Refusal::Unauthentic) => self.counters.unauthentic += 1,
            Err(Refusal::Malformed | Refusal::UsedUp) => self.counters.malformed += 1,
        }
        self.secured = Some(secured);
    }
}
