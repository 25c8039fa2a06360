//! Random interleavings of two user agents over a bad network, against a reference model of a call: whatever happens
//! on the way, both ends agree at rest, and nothing is left behind.

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use common::{World, address, name_addr, seeds};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rollcall_sip::message::{HeadersView, parse_uri};
use rollcall_sip::{CallId, Config, Event, InviteRequest, Trust, UserAgent};
use rollcall_testkit::Conditions;

const SECOND: Duration = Duration::from_secs(1);
/// After so long without a fault every timer of RFC 3261 has run out, and a session of 90 s that lost its other side.
const REST: Duration = Duration::from_secs(400);

/// What one side may go through, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Calling,
    Incoming,
    Up,
    Over,
}

/// One side of a call as its events tell it.
#[derive(Debug, Clone)]
struct Side {
    stage: Stage,
    call_id: String,
    /// Descriptions agreed on: ours and theirs.
    agreed: Option<(Bytes, Bytes)>,
    /// Ours that waits for an answer.
    offered: Option<Bytes>,
    /// The INVITE's offer, for the callee.
    their_offer: Bytes,
    /// An answer is owed to an offer of theirs, which this is.
    owed: Option<Bytes>,
    /// The description in our 200 or 183.
    answer: Option<Bytes>,
}

impl Side {
    fn new(stage: Stage, call_id: String) -> Self {
        Self {
            stage,
            call_id,
            agreed: None,
            offered: None,
            their_offer: Bytes::new(),
            owed: None,
            answer: None,
        }
    }
}

/// Two user agents, the model of each, and what happens to them.
struct Play {
    world: World,
    rng: StdRng,
    sides: [BTreeMap<CallId, Side>; 2],
    seen: usize,
    described: u64,
    seed: u64,
}

impl Play {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let conditions = Conditions {
            delay: Duration::from_millis(1)..=Duration::from_millis(rng.random_range(2..300)),
            loss: rng.random_range(0.0..0.3),
            duplication: rng.random_range(0.0..0.2),
            reordering: rng.random_range(0.0..0.2),
        };
        let mut world = World::new(seed, conditions);
        let timed = rng.random_bool(0.7).then_some(90 * SECOND);
        for (index, port) in [5070, 5060].into_iter().enumerate() {
            let config = Config::phone(address(port), "p", "phone", seed * 2 + index as u64);
            let config = Config {
                trust: Trust::Anyone,
                session_expires: timed,
                max_calls: 3,
                ..config
            };
            world.agents[index].1 = UserAgent::new(config, world.clock.now());
        }
        Self {
            world,
            rng,
            sides: [BTreeMap::new(), BTreeMap::new()],
            seen: 0,
            described: 0,
            seed,
        }
    }

    /// A description that nobody else gave.
    fn description(&mut self) -> Bytes {
        self.described += 1;
        Bytes::from(format!("v=0 {}", self.described))
    }

    fn step(&mut self) {
        let agent = self.rng.random_range(0..2);
        match self.rng.random_range(0..10) {
            0 if self.sides[agent].len() < 2 => self.dial(agent),
            1..=5 => self.act(agent),
            6 if self.rng.random_bool(0.1) => {
                let host = self.world.agents[agent].0;
                self.world.network.cut(host);
                self.pass(20_000);
                self.world.network.heal(host);
            }
            _ => self.pass(3_000),
        }
        self.follow();
    }

    fn pass(&mut self, most_ms: u64) {
        let time = Duration::from_millis(self.rng.random_range(0..most_ms));
        self.world.run(time);
    }

    fn dial(&mut self, agent: usize) {
        let offer = match self.rng.random_bool(0.8) {
            true => self.description(),
            false => Bytes::new(),
        };
        let (own, other) = (self.world.agents[agent].0, self.world.agents[1 - agent].0);
        let (ua, now) = self.world.ua(agent);
        let call = ua.invite(
            now,
            InviteRequest {
                target: parse_uri(&format!("sip:p@{other}")).expect("a URI"),
                destination: other,
                from: name_addr(&format!("<sip:p@{own}>")),
                offer: offer.clone(),
                credentials: None,
                headers: Vec::new(),
            },
        );
        self.world.drain();
        let mut sent = self.world.sent(agent).into_iter().rev();
        let call_id = sent.find_map(|message| match message {
            rollcall_sip::Message::Request(request) => {
                request.headers.text("Call-ID").map(str::to_owned)
            }
            _ => None,
        });
        let mut side = Side::new(Stage::Calling, call_id.expect("an INVITE left"));
        side.offered = Some(offer).filter(|offer| !offer.is_empty());
        self.sides[agent].insert(call, side);
    }

    /// Does something that the stage of one of the calls allows.
    fn act(&mut self, agent: usize) {
        let live: Vec<CallId> = self.sides[agent]
            .iter()
            .filter(|(_, side)| side.stage != Stage::Over)
            .map(|(call, _)| *call)
            .collect();
        if live.is_empty() {
            return;
        }
        let call = live[self.rng.random_range(0..live.len())];
        let stage = self.sides[agent][&call].stage;
        match (stage, self.rng.random_range(0..8)) {
            (_, 0) => self.with(agent, |ua, now| ua.hangup(now, call)),
            (Stage::Incoming, 1) => self.with(agent, |ua, now| ua.reject(now, call, 486)),
            (Stage::Incoming, 2 | 3) => self.with(agent, |ua, now| ua.ring(now, call, None)),
            (Stage::Incoming, 4) => {
                let answer = self.answer_of(agent, call);
                self.with(agent, |ua, now| ua.ring(now, call, Some(answer)));
            }
            (Stage::Incoming, _) => {
                let answer = self.answer_of(agent, call);
                self.with(agent, |ua, now| ua.answer(now, call, answer));
                self.side(agent, call).stage = Stage::Up;
            }
            (Stage::Up, 1..=4) => self.change(agent, call),
            _ => {}
        }
    }

    /// The one description of ours for the INVITE, early or final.
    fn answer_of(&mut self, agent: usize, call: CallId) -> Bytes {
        let fresh = self.description();
        let side = self.side(agent, call);
        let answer = side.answer.get_or_insert(fresh).clone();
        match side.their_offer.is_empty() {
            true => side.offered = Some(answer.clone()),
            false => side.agreed = Some((answer.clone(), side.their_offer.clone())),
        }
        answer
    }

    fn change(&mut self, agent: usize, call: CallId) {
        if let Some(offer) = self.side(agent, call).owed.take() {
            let answer = self.description();
            if self.rng.random_bool(0.8) {
                self.side(agent, call).agreed = Some((answer.clone(), offer));
                self.with(agent, |ua, now| ua.answer_offer(now, call, answer));
            } else {
                self.with(agent, |ua, now| ua.refuse_offer(now, call, 488));
            }
            return;
        }
        let offer = self.description();
        let (ua, now) = self.world.ua(agent);
        if ua.reoffer(now, call, offer.clone()) {
            self.side(agent, call).offered = Some(offer);
        }
        self.world.drain();
    }

    fn with(&mut self, agent: usize, act: impl FnOnce(&mut UserAgent, std::time::Instant)) {
        let (ua, now) = self.world.ua(agent);
        act(ua, now);
        self.world.drain();
    }

    fn side(&mut self, agent: usize, call: CallId) -> &mut Side {
        self.sides[agent].get_mut(&call).expect("a known call")
    }

    /// Holds what was told against the model.
    fn follow(&mut self) {
        while let Some((agent, _, event)) = self.world.told.get(self.seen).cloned() {
            self.seen += 1;
            self.follow_one(agent, event);
        }
    }

    fn follow_one(&mut self, agent: usize, event: Event) {
        let seed = self.seed;
        if let Event::Incoming { call, request, .. } = event {
            let call_id = request.headers.text("Call-ID").unwrap_or_default();
            let mut side = Side::new(Stage::Incoming, call_id.to_owned());
            side.their_offer = request.body.clone().into();
            let before = self.sides[agent].insert(call, side);
            assert!(before.is_none(), "seed {seed}: a call came twice");
            return;
        }
        let call = match &event {
            Event::Progress { call, .. }
            | Event::Answered { call, .. }
            | Event::Confirmed { call, .. }
            | Event::Offer { call, .. }
            | Event::OfferAnswered { call, .. }
            | Event::OfferRefused { call, .. }
            | Event::OfferDue { call }
            | Event::Ended { call, .. } => *call,
            other => panic!("seed {seed}: nobody asked for {other:?}"),
        };
        let side = self.side(agent, call);
        let stage = side.stage;
        let unexpected = || panic!("seed {seed}: {event:?} while {stage:?}");
        match (&event, stage) {
            (_, Stage::Over) => unexpected(),
            (Event::Progress { .. }, Stage::Calling) => {}
            (Event::Answered { sdp, .. }, Stage::Calling) => {
                side.stage = Stage::Up;
                match side.offered.take() {
                    Some(ours) => side.agreed = Some((ours, sdp.clone())),
                    // Theirs was the offer, and was answered early unless it is answered now.
                    None if side.agreed.is_none() => side.owed = Some(sdp.clone()),
                    None => {}
                }
            }
            (Event::Confirmed { sdp, .. }, Stage::Up | Stage::Incoming) => {
                if let Some(ours) = side.offered.take_if(|_| !sdp.is_empty()) {
                    side.agreed = Some((ours, sdp.clone()));
                }
            }
            // An early offer is answered at once: the call cannot go on without.
            (Event::Offer { sdp, .. }, Stage::Calling) => {
                let offer = sdp.clone();
                let answer = self.description();
                self.side(agent, call).agreed = Some((answer.clone(), offer));
                self.with(agent, |ua, now| ua.answer_offer(now, call, answer));
            }
            (Event::Offer { sdp, .. }, Stage::Up) => side.owed = Some(sdp.clone()),
            (Event::OfferAnswered { sdp, .. }, Stage::Up) => {
                if let Some(ours) = side.offered.take() {
                    side.agreed = Some((ours, sdp.clone()));
                }
            }
            (Event::OfferRefused { .. }, Stage::Up) => side.offered = None,
            (Event::OfferDue { .. }, Stage::Up) => side.offered = None,
            (Event::Ended { .. }, _) => side.stage = Stage::Over,
            _ => unexpected(),
        }
    }

    /// Answers what is owed, and lets everything come to rest on a good network.
    fn rest(&mut self) {
        self.world.network.set_conditions(Conditions::default());
        for round in 0..8 {
            self.world.run(REST / 8);
            self.follow();
            for agent in 0..2 {
                // An answer that was lost for 64 T1 never comes; whoever waits for it gives up one day.
                let waiting = self.sides[agent]
                    .iter()
                    .filter(|(_, side)| side.stage == Stage::Calling);
                let waiting: Vec<CallId> = waiting.map(|(call, _)| *call).collect();
                for call in waiting.into_iter().filter(|_| round == 6) {
                    self.with(agent, |ua, now| ua.hangup(now, call));
                }
                let owing = self.sides[agent]
                    .iter()
                    .filter(|(_, side)| side.owed.is_some());
                let owing: Vec<CallId> = owing.map(|(call, _)| *call).collect();
                for call in owing {
                    if self.sides[agent][&call].stage == Stage::Up {
                        self.change(agent, call);
                    }
                }
            }
        }
        self.world.run(REST);
        self.follow();
    }

    fn check_agreement(&self) {
        let seed = self.seed;
        for side in self.sides[0].values() {
            let mut others = self.sides[1].values();
            let other = others.find(|other| other.call_id == side.call_id);
            let stage = other.map_or(Stage::Over, |other| other.stage);
            let is_up = |stage| match stage {
                Stage::Up => true,
                Stage::Over => false,
                waiting => panic!("seed {seed}: {waiting:?} at rest\n{}", self.world.log()),
            };
            let (ours, theirs) = (is_up(side.stage), is_up(stage));
            assert_eq!(
                ours,
                theirs,
                "seed {seed}: {side:?} {other:?}\n{}",
                self.world.log()
            );
            if let (true, Some(other)) = (ours, other) {
                let reversed = other.agreed.clone().map(|(local, remote)| (remote, local));
                assert_eq!(side.agreed, reversed, "seed {seed}\n{}", self.world.log());
            }
        }
        let known = |side: &&Side| {
            self.sides[0]
                .values()
                .any(|own| own.call_id == side.call_id)
        };
        for alone in self.sides[1].values().filter(|side| !known(side)) {
            assert_eq!(alone.stage, Stage::Over, "seed {seed}: {alone:?}");
        }
    }

    fn hang_up_everything(&mut self) {
        for agent in 0..2 {
            let calls: Vec<CallId> = self.sides[agent].keys().copied().collect();
            for call in calls {
                self.with(agent, |ua, now| ua.hangup(now, call));
            }
        }
        self.world.run(REST);
        self.follow();
        let quiet = self.world.agents.iter().all(|(_, ua)| ua.is_quiet());
        assert!(
            quiet,
            "seed {}: something is left behind\n{}",
            self.seed,
            self.world.log()
        );
        let over = self
            .sides
            .iter()
            .flat_map(BTreeMap::values)
            .all(|side| side.stage == Stage::Over);
        assert!(over, "seed {}: an end was not told", self.seed);
    }
}

#[test]
fn soak_both_ends_of_a_call_agree_at_rest_and_nothing_is_left_behind() {
    let mut up = 0;
    for seed in 0..seeds(1_000) {
        let mut play = Play::new(seed);
        for _ in 0..40 {
            play.step();
        }
        play.rest();
        play.check_agreement();
        up += play.sides[0]
            .values()
            .filter(|side| side.stage == Stage::Up)
            .count() as u64;
        play.hang_up_everything();
    }
    assert!(up > seeds(1_000) / 10, "calls that stood at rest: {up}");
}
