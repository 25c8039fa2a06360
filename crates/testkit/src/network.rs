//! A datagram network whose faults are drawn from a seed.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// How bad the network is. Probabilities lie between 0 and 1.
#[derive(Debug, Clone)]
pub struct Conditions {
    /// Each datagram takes a time from this range, drawn evenly.
    pub delay: RangeInclusive<Duration>,
    /// Chance that a datagram is lost.
    pub loss: f64,
    /// Chance that a datagram comes twice, the second with its own delay.
    pub duplication: f64,
    /// Chance that a datagram takes the longest delay twice over, so that later ones overtake it.
    pub reordering: f64,
}

impl Default for Conditions {
    /// A perfect link with a delay of 1 ms.
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(1)..=Duration::from_millis(1),
            loss: 0.0,
            duplication: 0.0,
            reordering: 0.0,
        }
    }
}

/// What arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram {
    /// Who sent it.
    pub from: SocketAddr,
    /// Whom it is for.
    pub to: SocketAddr,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// Datagrams under way.
#[derive(Debug)]
pub struct Network {
    conditions: Conditions,
    rng: StdRng,
    cut: HashSet<SocketAddr>,
    under_way: BinaryHeap<Reverse<UnderWay>>,
    put: u64,
    sent: u64,
    lost: u64,
}

#[derive(Debug)]
struct UnderWay {
    due: Instant,
    /// Breaks ties in sending order.
    number: u64,
    datagram: Datagram,
}

impl PartialEq for UnderWay {
    fn eq(&self, other: &Self) -> bool {
        (self.due, self.number) == (other.due, other.number)
    }
}

impl Eq for UnderWay {}

impl PartialOrd for UnderWay {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for UnderWay {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}

impl Network {
    /// An empty network.
    pub fn new(seed: u64, conditions: Conditions) -> Self {
        Self {
            conditions,
            rng: StdRng::seed_from_u64(seed),
            cut: HashSet::new(),
            under_way: BinaryHeap::new(),
            put: 0,
            sent: 0,
            lost: 0,
        }
    }

    /// Changes how bad it is from here on.
    pub fn set_conditions(&mut self, conditions: Conditions) {
        self.conditions = conditions;
    }

    /// Loses everything from and to `host` until [`Network::heal`], what is under way included.
    pub fn cut(&mut self, host: SocketAddr) {
        self.cut.insert(host);
    }

    /// Ends a cut.
    pub fn heal(&mut self, host: SocketAddr) {
        self.cut.remove(&host);
    }

    /// Sends a datagram.
    pub fn send(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        self.sent += 1;
        if self.rng.random_bool(self.conditions.loss) {
            self.lost += 1;
            return;
        }
        let datagram = Datagram { from, to, bytes };
        if self.rng.random_bool(self.conditions.duplication) {
            self.put_under_way(now, datagram.clone());
        }
        self.put_under_way(now, datagram);
    }

    /// When the next datagram arrives.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.under_way.peek().map(|Reverse(next)| next.due)
    }

    /// The next datagram that has arrived by `now`.
    pub fn receive(&mut self, now: Instant) -> Option<Datagram> {
        while self.poll_timeout().is_some_and(|due| due <= now) {
            let Reverse(UnderWay { datagram, .. }) = self.under_way.pop()?;
            if self.cut.contains(&datagram.from) || self.cut.contains(&datagram.to) {
                self.lost += 1;
                continue;
            }
            return Some(datagram);
        }
        None
    }

    /// Datagrams sent so far.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Datagrams lost so far.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    fn put_under_way(&mut self, now: Instant, datagram: Datagram) {
        let mut delay = self.rng.random_range(self.conditions.delay.clone());
        if self.rng.random_bool(self.conditions.reordering) {
            delay += *self.conditions.delay.end() * 2;
        }
        self.put += 1;
        self.under_way.push(Reverse(UnderWay {
            due: now + delay,
            number: self.put,
            datagram,
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn run(seed: u64, conditions: Conditions) -> Vec<u8> {
        let start = Instant::now();
        let mut network = Network::new(seed, conditions);
        for number in 0..200 {
            network.send(
                start + Duration::from_millis(number),
                address(1),
                address(2),
                vec![number as u8],
            );
        }
        let end = start + Duration::from_secs(10);
        std::iter::from_fn(|| network.receive(end))
            .flat_map(|datagram| datagram.bytes)
            .collect()
    }

    #[test]
    fn a_perfect_network_delivers_everything_in_order_after_its_delay() {
        assert_eq!(run(1, Conditions::default()), (0..200).collect::<Vec<u8>>());
        let now = Instant::now();
        let mut network = Network::new(1, Conditions::default());
        network.send(now, address(1), address(2), vec![1]);
        assert_eq!(network.receive(now), None);
        assert_eq!(network.poll_timeout(), Some(now + Duration::from_millis(1)));
        assert!(network.receive(now + Duration::from_millis(1)).is_some());
    }

    #[test]
    fn a_seed_gives_the_same_faults_every_time_and_another_seed_others() {
        let bad = Conditions {
            delay: Duration::from_millis(5)..=Duration::from_millis(40),
            loss: 0.1,
            duplication: 0.1,
            reordering: 0.1,
        };
        let first = run(7, bad.clone());
        assert_eq!(first, run(7, bad.clone()));
        assert_ne!(first, run(8, bad));
        assert!(
            first.windows(2).any(|pair| pair[0] > pair[1]),
            "something was overtaken"
        );
    }

    #[test]
    fn a_cut_host_hears_nothing_until_healed() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let mut network = Network::new(1, Conditions::default());
        network.cut(address(2));
        network.send(now, address(1), address(2), vec![1]);
        assert_eq!(network.receive(later), None);
        assert_eq!(network.lost(), 1);
        network.heal(address(2));
        network.send(now, address(1), address(2), vec![2]);
        assert!(network.receive(later).is_some());
    }
}
