//! Symmetric RTP: whose packets belong to the call, and where ours go.
//!
//! The signalled address is always right. Behind NAT the packets come from another one: that is
//! believed after two packets in a row of one stream, and then for good, so that nobody who guesses
//! our port can speak into the call. When the source has been silent for two seconds, the same
//! stream (SSRC) may go on from a new address: a NAT that lost its mapping.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Believes one source at a time.
#[derive(Debug)]
pub(crate) struct SourceLock {
    signalled: SocketAddr,
    locked: Option<Locked>,
    candidate: Option<Candidate>,
}

#[derive(Debug)]
struct Locked {
    address: SocketAddr,
    ssrc: u32,
    last_heard: Instant,
}

#[derive(Debug, PartialEq, Eq)]
struct Candidate {
    address: SocketAddr,
    ssrc: u32,
    /// The number that would prove it.
    sequence: u16,
}

impl SourceLock {
    pub(crate) fn new(signalled: SocketAddr) -> SourceLock {
        SourceLock {
            signalled,
            locked: None,
            candidate: None,
        }
    }

    /// Where to send: to whom we hear, else where we were told.
    pub(crate) fn destination(&self) -> SocketAddr {
        self.locked
            .as_ref()
            .map_or(self.signalled, |locked| locked.address)
    }

    /// Whom we hear, once somebody was believed.
    pub(crate) fn heard(&self) -> Option<SocketAddr> {
        self.locked.as_ref().map(|locked| locked.address)
    }

    /// True when a packet belongs to the call.
    pub(crate) fn admits(&mut self, now: Instant, from: SocketAddr, ssrc: u32, seq: u16) -> bool {
        let known = self.locked.as_ref().is_some_and(|l| l.address == from);
        if known || from == self.signalled || self.proves_itself(now, from, ssrc, seq) {
            self.candidate = None;
            self.locked = Some(Locked {
                address: from,
                ssrc,
                last_heard: now,
            });
            return true;
        }
        false
    }

    fn proves_itself(&mut self, now: Instant, from: SocketAddr, ssrc: u32, seq: u16) -> bool {
        if let Some(locked) = &self.locked {
            let silent = now.saturating_duration_since(locked.last_heard) >= SILENT;
            if !silent || locked.ssrc != ssrc {
                return false;
            }
        }
        let here = Candidate {
            address: from,
            ssrc,
            sequence: seq,
        };
        if self.candidate.as_ref() == Some(&here) {
            return true;
        }
        self.candidate = Some(Candidate {
            sequence: seq.wrapping_add(1),
            ..here
        });
        false
    }
}

/// After so long without a packet, the stream may go on from elsewhere.
const SILENT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn lock() -> (SourceLock, Instant) {
        (
            SourceLock::new(address(1000)),
            rollcall_testkit::Clock::new().now(),
        )
    }

    #[test]
    fn the_signalled_address_is_believed_at_once() {
        let (mut lock, now) = lock();
        assert!(lock.admits(now, address(1000), 7, 1));
        assert_eq!(lock.destination(), address(1000));
    }

    #[test]
    fn another_address_is_believed_after_two_packets_in_a_row_and_answered_there() {
        let (mut lock, now) = lock();
        assert!(!lock.admits(now, address(2000), 7, u16::MAX));
        assert_eq!(lock.destination(), address(1000));
        assert!(lock.admits(now, address(2000), 7, 0));
        assert_eq!(lock.destination(), address(2000));
    }

    #[test]
    fn packets_that_do_not_follow_each_other_prove_nothing() {
        let (mut lock, now) = lock();
        for (port, ssrc, seq) in [(2000, 7, 1), (2000, 7, 3), (2000, 8, 4), (3000, 8, 5)] {
            assert!(!lock.admits(now, address(port), ssrc, seq));
        }
    }

    #[test]
    fn once_locked_nobody_else_is_heard() {
        let (mut lock, now) = lock();
        lock.admits(now, address(1000), 7, 1);
        for seq in 0..10 {
            assert!(!lock.admits(now, address(2000), 7, seq));
        }
        assert_eq!(lock.destination(), address(1000));
    }

    #[test]
    fn the_signalled_address_takes_over_from_a_learned_one() {
        let (mut lock, now) = lock();
        lock.admits(now, address(2000), 7, 1);
        lock.admits(now, address(2000), 7, 2);
        assert!(lock.admits(now, address(1000), 9, 1));
        assert!(!lock.admits(now, address(2000), 7, 3));
    }

    #[test]
    fn a_silent_source_may_go_on_from_elsewhere_but_only_as_the_same_stream() {
        let (mut lock, now) = lock();
        lock.admits(now, address(1000), 7, 1);
        let later = now + SILENT;
        for (ssrc, seq) in [(8, 1), (8, 2), (7, 2)] {
            assert!(!lock.admits(later, address(2000), ssrc, seq));
        }
        assert!(lock.admits(later, address(2000), 7, 3));
    }
}
