//! A jitter buffer that waits as long as the network makes it, and no longer.

use std::time::{Duration, Instant};

use super::buffer::{Order, PacketBuffer};
use super::decide::{Decider, Situation, Wish};
use super::delay::DelayEstimate;
use super::repair::Repair;
use super::{Inserted, JitterBuffer, Losses, Next, Pace, Packet};

/// Plays sound as early as all but very few packets are in time.
///
/// It begins with the first packet, and learns. A packet that is missing when its sound is needed,
/// with nothing behind it, is awaited while concealment plays ([`Next::Starved`]): if it comes, it
/// is played, later than before. If a later one comes in its stead, the concealed time stands for
/// it. What waits longer than it needs to is played a little faster; more than 100 ms beyond that
/// are dropped. After 100 ms without a packet the stretch has ended, and the next one begins as
/// early as it can.
#[derive(Debug)]
pub struct AdaptiveJitterBuffer {
    clock_rate: u32,
    packets: PacketBuffer,
    delay: DelayEstimate,
    repair: Repair,
    decider: Decider,
    /// Where both clocks began.
    origin: Option<(Instant, u64)>,
    last: Option<Arrival>,
    /// The next number whose turn comes; lower ones have had theirs.
    turn: Option<u64>,
    timeline: Option<Timeline>,
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

/// The highest packet so far.
#[derive(Debug, Clone, Copy)]
struct Arrival {
    at: Instant,
    transit: i64,
}

impl AdaptiveJitterBuffer {
    /// For an RTP clock of `clock_rate` hertz, not 0.
    pub fn new(clock_rate: u32) -> AdaptiveJitterBuffer {
        AdaptiveJitterBuffer {
            clock_rate,
            packets: PacketBuffer::default(),
            delay: DelayEstimate::default(),
            repair: Repair::default(),
            decider: Decider::default(),
            origin: None,
            last: None,
            turn: None,
            timeline: None,
            losses: Losses::default(),
        }
    }

    /// Learn how long a packet took.
    fn time(&mut self, packet: &Packet, order: Order) {
        self.origin
            .get_or_insert((packet.arrived, packet.timestamp));
        let transit = self.age(packet.arrived, packet.timestamp);
        let queued = self.last.is_some_and(|last| {
            // It came at the heels of one that was held up: that says nothing new.
            let heels = packet.arrived.saturating_duration_since(last.at);
            transit < last.transit && heels < self.time_of(u64::from(packet.duration) / 4)
        });
        if order == Order::Ahead {
            self.last = Some(Arrival {
                at: packet.arrived,
                transit,
            });
        }
        if !queued || self.delay.fastest().is_none_or(|fastest| transit < fastest) {
            self.delay.note(transit);
        }
    }

    /// Microseconds from when a tick was sent until `now`, by two clocks that began anywhere.
    fn age(&self, now: Instant, timestamp: u64) -> i64 {
        let Some((began, first)) = self.origin else {
            return 0;
        };
        let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        let passed = micros(now.saturating_duration_since(began))
            .saturating_sub(micros(began.saturating_duration_since(now)));
        let sent = i128::from(timestamp) - i128::from(first);
        let sent = sent * 1_000_000 / i128::from(self.clock_rate.max(1));
        let limit = i128::from(i64::MAX / 4);
        passed.saturating_sub(sent.clamp(-limit, limit) as i64)
    }

    /// Ticks as time.
    fn time_of(&self, ticks: u64) -> Duration {
        Duration::from_micros(ticks.saturating_mul(1_000_000) / u64::from(self.clock_rate.max(1)))
    }

    fn ticks(&self, time: Duration) -> u64 {
        time.as_micros() as u64 * u64::from(self.clock_rate) / 1_000_000
    }

    /// The age, in microseconds, at which sound should be played.
    fn needed(&self) -> Option<i64> {
        Some(self.delay.slowest()?.saturating_add(self.look_ahead()))
    }

    /// Microseconds that redundancy is waited for.
    fn look_ahead(&self) -> i64 {
        let step = self.timeline.map_or(0, |line| u64::from(line.step));
        let wanted = u64::from(self.repair.packets_ahead()) * step;
        let ticks = wanted.min(u64::from(self.repair.reach()));
        self.time_of(ticks).as_micros() as i64
    }

    /// Microseconds by which a tick is older than it should be when played, or, below nought,
    /// younger. `None`: the clocks tell nothing.
    fn slack(&self, now: Instant, timestamp: u64) -> Option<i64> {
        let slack = self.age(now, timestamp).saturating_sub(self.needed()?);
        (slack.abs() < FAR).then_some(slack)
    }

    fn is_due(&self, now: Instant, timestamp: u64) -> bool {
        self.slack(now, timestamp).is_none_or(|slack| slack >= 0)
    }

    /// Drop the oldest packets while the first is older than it needs to be by more than `most`.
    fn trim(&mut self, now: Instant, most: Duration) {
        let most = most.as_micros() as i64;
        let mut trimmed = false;
        while self.packets.len() > 1
            && let Some(first) = self.packets.first()
            && (self.packets.len() > MAX_PACKETS
                || self
                    .slack(now, first.timestamp)
                    .is_some_and(|slack| slack >= most))
        {
            if let Some(packet) = self.packets.take_first() {
                self.losses.discarded += 1;
                self.pass(&packet);
                trimmed = true;
            }
        }
        // What is left begins at its own oldest packet, wherever the timeline stood.
        if let (true, Some(line), Some(first)) = (trimmed, &mut self.timeline, self.packets.first())
        {
            line.position = first.timestamp;
            line.starved = 0;
            let skipped = self
                .turn
                .map_or(0, |turn| first.sequence.saturating_sub(turn));
            self.losses.lost += skipped;
            self.turn = Some(first.sequence);
        }
    }

    /// The turn goes to the number behind the packet's; whoever was skipped is lost.
    fn pass(&mut self, packet: &Packet) {
        let turn = self.turn.unwrap_or(packet.sequence);
        let lost = packet.sequence.saturating_sub(turn);
        self.losses.lost += lost;
        if packet.duration > 0 {
            self.repair.note(lost, packet.redundancy);
        }
        self.turn = Some(packet.sequence.saturating_add(1).max(turn));
    }

    fn play(&mut self, now: Instant, ahead: u32) -> Next<'_> {
        let Some(packet) = self.packets.take_first() else {
            return Next::Silence;
        };
        self.pass(&packet);
        if packet.duration == 0 {
            // The time of what was lost before it has passed; it has none of its own.
            return self.next(now, ahead);
        }
        let joins = self.timeline.is_some_and(|line| line.starved > 0);
        self.timeline = Some(Timeline {
            position: packet.timestamp.saturating_add(u64::from(packet.duration)),
            step: packet.duration,
            starved: 0,
        });
        let pace = self.pace(now, &packet, ahead);
        Next::Frame {
            packet,
            pace,
            joins,
        }
    }

    fn pace(&mut self, now: Instant, packet: &Packet, ahead: u32) -> Pace {
        let (Some(needed), Some(_)) = (self.needed(), self.slack(now, packet.timestamp)) else {
            return Pace::Even;
        };
        let micros = |ticks: u32| self.time_of(u64::from(ticks)).as_micros() as i64;
        let situation = Situation {
            age: self.age(now, packet.timestamp),
            needed,
            packet: micros(packet.duration),
            ahead: micros(ahead),
            followed: self
                .packets
                .first()
                .is_some_and(|next| next.sequence == packet.sequence.saturating_add(1)),
        };
        match self.decider.pace(now, situation) {
            Wish::Even => Pace::Even,
            Wish::Shorter { most, anywhere } => Pace::Shorter {
                most: self.ticks(Duration::from_micros(most.unsigned_abs())) as u32,
                anywhere,
            },
            Wish::Longer { anywhere } => Pace::Longer { anywhere },
        }
    }

    /// Nothing is here, but the stretch has not ended yet.
    fn starve(&mut self) -> Next<'_> {
        let patience = self.ticks(PATIENCE);
        let Some(line) = &mut self.timeline else {
            return Next::Silence;
        };
        if line.starved >= patience {
            self.timeline = None;
            return Next::Silence;
        }
        line.starved += u64::from(line.step);
        Next::Starved {
            duration: line.step,
        }
    }

    /// `hole` ticks are missing before the first packet. What was concealed while nothing was here
    /// stands for them, unless the delay has to grow anyway.
    fn lose(&mut self, now: Instant, ahead: u32, line: Timeline, hole: u64) -> Next<'_> {
        let mut covered = line.starved.min(hole);
        if !self.is_due(now, line.position.saturating_add(covered)) {
            covered = 0;
        }
        let mut line = Timeline {
            position: line.position.saturating_add(covered),
            starved: line.starved - covered,
            ..line
        };
        let hole = hole - covered;
        if hole == 0 {
            self.timeline = Some(line);
            return self.play(now, ahead);
        }
        let reach = self.packets.first().map_or(0, |first| first.redundancy);
        let out_of_reach = hole.saturating_sub(u64::from(reach));
        let duration = match out_of_reach {
            0 => hole,
            _ => out_of_reach.min(u64::from(line.step)),
        };
        line.position = line.position.saturating_add(duration);
        line.starved = 0;
        self.timeline = Some(line);
        let following = self.packets.first().filter(|_| out_of_reach == 0);
        Next::Lost {
            duration: duration as u32,
            following: following.map(|packet| packet.payload.as_slice()),
        }
    }

    /// Packets without sound have had their turn as soon as it comes.
    fn skip_soundless(&mut self) {
        while let Some(first) = self.packets.first() {
            let its_turn = self.turn.is_none_or(|turn| turn == first.sequence);
            if first.duration > 0 || !its_turn {
                break;
            }
            if let Some(packet) = self.packets.take_first() {
                self.pass(&packet);
            }
        }
    }
}

impl JitterBuffer for AdaptiveJitterBuffer {
    fn insert(&mut self, packet: Packet) -> Inserted {
        let order = self.packets.note(packet.sequence);
        if order == Order::Again {
            return Inserted::Duplicate;
        }
        if packet.duration > 0 {
            self.time(&packet, order);
        }
        let had_turn = self.turn.is_some_and(|turn| packet.sequence < turn);
        // Its time was concealed already, for a later one is here.
        let concealed = order == Order::Behind
            && self
                .timeline
                .is_some_and(|line| packet.timestamp < line.position);
        if had_turn || concealed {
            return Inserted::Late;
        }
        let arrived = packet.arrived;
        self.packets.keep(packet);
        if self.packets.len() > MAX_PACKETS {
            self.trim(arrived, HEADROOM);
        }
        match order {
            Order::Behind => Inserted::Reordered,
            _ => Inserted::Kept,
        }
    }

    fn next(&mut self, now: Instant, ahead: u32) -> Next<'_> {
        self.skip_soundless();
        self.trim(now, HEADROOM);
        let Some(first) = self.packets.first() else {
            return self.starve();
        };
        let (sequence, timestamp) = (first.sequence, first.timestamp);
        let packet = self.time_of(u64::from(first.duration));
        let due = self.is_due(now, timestamp);
        let (Some(line), Some(turn)) = (self.timeline, self.turn) else {
            if !due {
                return Next::Silence;
            }
            // Nothing ties the beginning to a moment: no older than it needs to be.
            self.trim(now, packet);
            return self.play(now, ahead);
        };
        match timestamp.checked_sub(line.position) {
            Some(0) => self.play(now, ahead),
            Some(hole) if sequence > turn && hole <= self.ticks(LONGEST_HOLE) => {
                self.lose(now, ahead, line, hole)
            }
            // Nothing was lost, the sender paused: its next stretch begins by wall time.
            Some(_) if !due => self.starve(),
            // Its clock jumped back, or the pause is over.
            _ => self.play(now, ahead),
        }
    }

    fn reset(&mut self) {
        *self = AdaptiveJitterBuffer {
            losses: self.losses,
            ..AdaptiveJitterBuffer::new(self.clock_rate)
        };
    }

    fn losses(&self) -> Losses {
        self.losses
    }

    fn target_delay(&self) -> Option<Duration> {
        let wait = self.needed()?.saturating_sub(self.delay.fastest()?);
        Some(Duration::from_micros(
            u64::try_from(wait).unwrap_or_default(),
        ))
    }
}

/// How much may wait beyond what is needed.
const HEADROOM: Duration = Duration::from_millis(100);

/// How long an empty buffer is covered up.
const PATIENCE: Duration = Duration::from_millis(100);

/// A longer hole is a jump of the sender's clock.
const LONGEST_HOLE: Duration = Duration::from_secs(1);

/// Microseconds; what is further off than this belongs to another clock.
const FAR: i64 = 1_000_000;

/// A flood of packets without sound is no reason to grow.
const MAX_PACKETS: usize = 128;
