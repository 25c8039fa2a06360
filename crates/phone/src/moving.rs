//! Calls that outlive our address: the network changed or the connection was made again, and the other side has to learn
//! where we are now (RFC 3261 section 14.1).

use std::net::IpAddr;

use rollcall_sip::CallId;

use crate::driver::Driver;
use crate::ports::MediaSockets;
use crate::sound::SoundCommand;

impl Driver {
    /// Tells the other side of every answered call our new Contact, and where to send its sound. `before` is the address
    /// we had; sockets of one that is gone carry nothing any more. Calls of another registrar cannot be reached from here
    /// and are left to their sound.
    pub(crate) fn carry_calls_over(&mut self, before: IpAddr) {
        let Some(local) = self.link.as_ref().map(|link| link.local) else {
            return;
        };
        for id in self.lines.all_answered() {
            if local != before
                && let Err(message) = self.rebind(id, local)
            {
                tracing::warn!(%message, "a call keeps its old address");
                continue;
            }
            if let Some(line) = self.lines.get_mut(id) {
                line.untold = true;
            }
            self.offer_hold(id);
        }
    }

    fn rebind(&mut self, id: CallId, local: IpAddr) -> Result<(), String> {
        let (sockets, address) = MediaSockets::bind(local)?;
        if let Some(line) = self.lines.get_mut(id) {
            line.local.rtp = address;
            match &mut line.rtp {
                Some(waiting) => *waiting = sockets,
                None => self.sound.ask(SoundCommand::Rebind { call: id, sockets }),
            }
        }
        Ok(())
    }
}
