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

/// Keys that agreements of this call have left. They may come back, and must not begin at nought then: a counter that is
/// used twice under one key gives the key stream away, and with GCM the key that authenticates.
#[derive(Debug, Default)]
pub(super) struct Retired {
    /// As many as we have suites, for our own keys last as long as the call.
    send: Vec<Protector>,
    /// The youngest last.
    receive: Vec<Unprotector>,
}

/// Keys of the other side that are remembered.
const MOST_RETIRED: usize = 8;

impl Retired {
    fn take_in(&mut self, before: Secured) {
        self.send.push(before.protector);
        self.receive.push(before.unprotector);
        if self.receive.len() > MOST_RETIRED {
            self.receive.remove(0);
        }
    }

    fn protector(&mut self, keys: &Keys) -> Protector {
        let known = self.send.iter().position(|old| *old.key() == keys.send);
        known.map_or_else(|| Protector::new(&keys.send), |at| self.send.remove(at))
    }

    /// A key that is new goes on with the streams of the one before it.
    fn unprotector(&mut self, keys: &Keys) -> Unprotector {
        let known = self
            .receive
            .iter()
            .position(|old| *old.key() == keys.receive);
        match (known, self.receive.last()) {
            (Some(at), _) => self.receive.remove(at),
            (None, Some(before)) => before.rekeyed(&keys.receive),
            (None, None) => Unprotector::new(&keys.receive),
        }
    }
}

impl Secured {
    /// What comes after an agreement: a key that stays, or comes back, keeps its counters and its replay window (RFC 3711
    /// section 3.3.1), a new one begins its own.
    pub(super) fn follow(
        before: Option<Secured>,
        keys: Option<&Keys>,
        retired: &mut Retired,
    ) -> Option<Secured> {
        if let Some(before) = before {
            retired.take_in(before);
        }
        let keys = keys?;
        Some(Secured {
            protector: retired.protector(keys),
            unprotector: retired.unprotector(keys),
            packet: Vec::new(),
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
