//! What goes over the wires: SIP and the manager interface of the PBX, and what of it is a hint.

use rand::Rng;
use rollcall_alignment::*;
use rollcall_pocket_pbx::Pbx;
use rollcall_pocket_pbx::pbx::{ManagerId, Output as PbxOutput};

use crate::app::pbx_address;
use crate::manager::Heard;
use crate::world::World;

impl World {
    pub(crate) fn drain_pbx(&mut self) {
        let now = self.now.monotonic;
        let mut bytes_back = Vec::new();
        while let Some(output) = self.pbx.as_mut().and_then(Pbx::poll_output) {
            match output {
                PbxOutput::Sip(transmit) => {
                    let bytes = transmit.bytes.to_vec();
                    self.network
                        .send(now, pbx_address(), transmit.destination, bytes);
                }
                PbxOutput::OpenMedia { media, sides } => {
                    let opened = vec![pbx_address(); sides];
                    if let Some(pbx) = &mut self.pbx {
                        pbx.media_opened(now, media, &opened);
                    }
                }
                PbxOutput::Manager(id, bytes) if id == ManagerId(self.connection) => {
                    bytes_back.push(bytes);
                }
                _ => {}
            }
        }
        for bytes in bytes_back {
            let at = now + self.latency();
            if let Some(link) = &mut self.link {
                let last = link.to_core.back().map_or(at, |(last, _)| *last);
                link.to_core.push_back((at.max(last), bytes));
            }
        }
    }

    pub(crate) fn drain_link(&mut self) {
        let now = self.now.monotonic;
        let delay = self.latency();
        let Some(link) = &mut self.link else {
            return;
        };
        if link.session.poll_timeout().is_some_and(|due| due <= now) {
            link.session.handle_timeout(now);
        }
        while link.to_core.front().is_some_and(|(at, _)| *at <= now) {
            let (_, bytes) = link.to_core.pop_front().unwrap();
            link.session.handle_bytes(now, &bytes);
        }
        link.transmit(now, delay);
        let mut to_pbx = Vec::new();
        while link.to_pbx.front().is_some_and(|(at, _)| *at <= now) {
            to_pbx.push(link.to_pbx.pop_front().unwrap().1);
        }
        let mut heard = Vec::new();
        while let Some(one) = link.hear(self.now.unix_ms) {
            heard.push(one);
        }
        for bytes in to_pbx {
            let id = ManagerId(self.connection);
            if let Some(pbx) = &mut self.pbx {
                pbx.manager_bytes(now, id, &bytes);
            }
            self.drain_pbx();
        }
        for one in heard {
            match one {
                Heard::Up => self.see(Observation::AmiUp),
                Heard::Closed => self.lose_link(),
                Heard::Seen(observation) => self.hint(observation),
            }
        }
    }

    /// Events are hints: they may be lost, or come twice. Lists are whole or not at all.
    fn hint(&mut self, observation: Observation) {
        if let Observation::Contacts { asked_at, .. } = &observation {
            // The table is read with it, as it is now.
            self.read_table();
            let rows = self.db.rows.values().cloned().collect();
            let asked_at = *asked_at;
            if !self.db.down {
                self.see(Observation::Stored { asked_at, rows });
            }
        }
        match &observation {
            Observation::Members { members, .. } => self.members.clone_from(members),
            Observation::Member(told) => {
                let is_it =
                    |is: &Membership| is.endpoint == told.endpoint && is.queue == told.queue;
                self.members.retain(|is| !is_it(is));
                self.members.push(told.clone());
            }
            _ => {}
        }
        let hint = matches!(
            observation,
            Observation::ContactEvent(_)
                | Observation::Device { .. }
                | Observation::Channel(_)
                | Observation::Member(_)
                | Observation::MemberGone { .. }
        );
        if hint && self.rng.random_bool(self.hints_lost) {
            return self.tell("a hint is lost");
        }
        if hint && self.rng.random_bool(self.hints_doubled) {
            self.see(observation.clone());
        }
        self.see(observation);
    }
}
