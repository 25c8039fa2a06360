//! A jitter buffer with one delay, chosen beforehand.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::seen::Seen;
use super::{Inserted, JitterBuffer, Losses, Next, Packet};

/// Plays each stretch of sound a fixed time after its first packet came.
///
/// The delay it adds lies between `delay` and `delay` plus one pull, and never above
/// `delay + 100 ms`: when more is waiting (a burst after a stall, a sender with a fast clock), the
/// oldest packets are discarded. Packets that came too late for their turn are refused; three such
/// in a row with nothing else here mean that the path has become longer, and start a new stretch.
#[derive(Debug)]
pub struct FixedJitterBuffer {
    delay: Duration,
    /// Most ticks that may wait.
    limit: u64,
    /// Ticks to keep when more than the limit waited.
    target: u64,
    /// Ticks of starvation after which the stretch has ended.
    patience: u64,
    /// Ticks of a hole that is worth concealing.
    longest_hole: u64,

    packets: BTreeMap<u64, Packet>,
    seen: Seen,
    /// The next number whose turn comes; lower ones have had theirs.
    turn: Option<u64>,
    timeline: Option<Timeline>,
    late_in_a_row: u32,
    losses: Losses,
}

/// Where playing stands inside a stretch of sound.
#[derive(Debug, Clone, Copy)]
struct Timeline {
    /// The next tick to play.
    position: u64,
    /// Ticks of the last packet: the length of what is concealed.
    step: u32,
    /// Ticks concealed since there was something to play.
    starved: u64,
}

impl FixedJitterBuffer {
    /// For an RTP clock of `clock_rate` hertz.
    pub fn new(clock_rate: u32, delay: Duration) -> FixedJitterBuffer {
        let ticks = |time: Duration| time.as_micros() as u64 * u64::from(clock_rate) / 1_000_000;
        FixedJitterBuffer {
            delay,
            limit: ticks(delay + HEADROOM),
            target: ticks(delay),
            patience: ticks(PATIENCE),
            longest_hole: ticks(LONGEST_HOLE),
            packets: BTreeMap::new(),
            seen: Seen::default(),
            turn: None,
            timeline: None,
            late_in_a_row: 0,
            losses: Losses::default(),
        }
    }

    fn is_late(&self, packet: &Packet) -> bool {
        if self.turn.is_some_and(|turn| packet.sequence < turn) {
            return true;
        }
        // Its place was filled with concealment while nothing was here.
        self.timeline.is_some_and(|line| {
            let starved_from = line.position.saturating_sub(line.starved);
            (starved_from..line.position).contains(&packet.timestamp)
        })
    }

    /// When more than `limit` ticks wait, drop the oldest until the delay is what it should be.
    fn trim(&mut self, limit: u64) {
        if self.waiting() <= limit && self.packets.len() <= MAX_PACKETS {
            return;
        }
        // What is left begins at its own oldest packet, wherever the timeline stood.
        if let Some(line) = &mut self.timeline {
            line.position = u64::MAX;
        }
        while self.packets.len() > 1
            && (self.waiting() > self.target || self.packets.len() > MAX_PACKETS)
        {
            if let Some((sequence, _)) = self.packets.pop_first() {
                self.losses.discarded += 1;
                self.pass(sequence);
            }
        }
        if let (Some(line), Some((&sequence, head))) =
            (&mut self.timeline, self.packets.first_key_value())
        {
            line.position = head.timestamp;
            let skipped = self.turn.map_or(0, |turn| sequence.saturating_sub(turn));
            self.losses.lost += skipped;
            self.turn = Some(sequence);
        }
    }

    /// Ticks from where playing stands, or from the oldest packet, to the end of the newest. Where
    /// the sender's clock jumped in between, only what the packets hold.
    fn waiting(&self) -> u64 {
        let held: u64 = self.packets.values().map(|p| u64::from(p.duration)).sum();
        let (Some((_, first)), Some((_, last))) = (
            self.packets.first_key_value(),
            self.packets.last_key_value(),
        ) else {
            return 0;
        };
        let from = self
            .timeline
            .map_or(first.timestamp, |line| line.position.min(first.timestamp));
        match last.timestamp.checked_sub(from) {
            Some(span) if span <= self.longest_hole => held.max(span + u64::from(last.duration)),
            _ => held,
        }
    }

    /// The turn goes to the number behind `sequence`; whoever was skipped is lost.
    fn pass(&mut self, sequence: u64) {
        let turn = self.turn.unwrap_or(sequence);
        self.losses.lost += sequence.saturating_sub(turn);
        self.turn = Some(sequence.saturating_add(1).max(turn));
    }

    fn play(&mut self) -> Next<'_> {
        let Some((sequence, packet)) = self.packets.pop_first() else {
            return Next::Silence;
        };
        self.pass(sequence);
        self.timeline = Some(Timeline {
            position: packet.timestamp.saturating_add(u64::from(packet.duration)),
            step: packet.duration,
            starved: 0,
        });
        Next::Frame(packet)
    }

    /// Nothing is here, but the stretch has not ended yet.
    fn starve(&mut self) -> Next<'_> {
        let Some(line) = &mut self.timeline else {
            return Next::Silence;
        };
        if line.starved >= self.patience {
            self.timeline = None;
            return Next::Silence;
        }
        line.position = line.position.saturating_add(u64::from(line.step));
        line.starved += u64::from(line.step);
        Next::Starved {
            duration: line.step,
        }
    }

    /// `hole` ticks are missing before the oldest packet.
    fn lose(&mut self, turn: u64, line: Timeline, hole: u64) -> Next<'_> {
        let duration = u64::from(line.step).min(hole) as u32;
        self.timeline = Some(Timeline {
            position: line.position.saturating_add(u64::from(duration)),
            ..line
        });
        self.pass(turn);
        self.losses.lost += 1;
        let following = self.packets.get(&turn.saturating_add(1));
        Next::Lost {
            duration,
            following: following
                .filter(|packet| packet.duration > 0)
                .map(|packet| packet.payload.as_slice()),
        }
    }

    /// Packets without sound have had their turn as soon as it comes.
    fn skip_soundless(&mut self) {
        while let Some(entry) = self.packets.first_entry() {
            let sequence = *entry.key();
            let its_turn = self.turn.is_none_or(|turn| turn == sequence);
            if entry.get().duration > 0 || !its_turn {
                break;
            }
            entry.remove();
            self.pass(sequence);
        }
    }
}

impl JitterBuffer for FixedJitterBuffer {
    fn insert(&mut self, packet: Packet) -> Inserted {
        let sequence = packet.sequence;
        let behind = self.seen.is_behind(sequence);
        if self.seen.note(sequence) {
            return Inserted::Duplicate;
        }
        if self.is_late(&packet) {
            self.late_in_a_row += 1;
            let has_turn = self.turn.is_none_or(|turn| sequence >= turn);
            if self.late_in_a_row < LATE_MEANS_LONGER || !self.packets.is_empty() || !has_turn {
                return Inserted::Late;
            }
            self.timeline = None;
        }
        self.late_in_a_row = 0;
        self.packets.insert(sequence, packet);
        self.trim(self.limit);
        if behind {
            Inserted::Reordered
        } else {
            Inserted::Kept
        }
    }

    fn next(&mut self, now: Instant) -> Next<'_> {
        self.skip_soundless();
        let Some((&sequence, head)) = self.packets.first_key_value() else {
            return self.starve();
        };
        // Whichever of them came first sets the moment, or reordering would add to the delay.
        let oldest = self.packets.values().map(|packet| packet.arrived).min();
        let due = oldest.is_none_or(|arrived| now >= arrived + self.delay);
        let (Some(line), Some(turn)) = (self.timeline, self.turn) else {
            if !due {
                return Next::Silence;
            }
            // The newest may have waited for the delay already.
            self.trim(self.limit - self.target);
            return self.play();
        };
        let hole = head.timestamp.checked_sub(line.position);
        match hole {
            Some(0) => self.play(),
            Some(hole) if sequence > turn && hole <= self.longest_hole => {
                self.lose(turn, line, hole)
            }
            // Nothing was lost, the sender paused: its next stretch begins by wall time.
            Some(_) if !due => Next::Silence,
            // Its clock jumped back, or the pause is over.
            _ => self.play(),
        }
    }

    fn reset(&mut self) {
        self.packets.clear();
        self.seen = Seen::default();
        self.turn = None;
        self.timeline = None;
        self.late_in_a_row = 0;
    }

    fn losses(&self) -> Losses {
        self.losses
    }
}

/// How much may wait beyond the delay.
const HEADROOM: Duration = Duration::from_millis(100);

/// How long an empty buffer is covered up.
const PATIENCE: Duration = Duration::from_millis(100);

/// A longer hole is a jump of the sender's clock.
const LONGEST_HOLE: Duration = Duration::from_secs(1);

/// So many late packets with nothing else here mean that the path has become longer.
const LATE_MEANS_LONGER: u32 = 3;

/// A flood of packets without sound is no reason to grow.
const MAX_PACKETS: usize = 128;
