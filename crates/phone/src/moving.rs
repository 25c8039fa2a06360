//! Calls that outlive our address: the network changed or the connection was made again, and the other side has to learn
//! where we are now (RFC 3261 section 14.1).

use std::net::IpAddr;
use std::time::Instant;

use rollcall_media::sdp::{self, Direction};
use rollcall_sip::CallId;

use crate::calls::Phase;
use crate::driver::Driver;
use crate::ports::MediaSockets;
use crate::sound::SoundCommand;

impl Driver {
    /// Tells the other side of every call our new Contact, and where to send its sound: by re-INVITE where it is answered,
    /// in our answer where it rings here, in another INVITE where we wait for one. `before` is the address we had; sockets
    /// of one that is gone carry nothing any more. Calls of another registrar cannot be reached from here and are left to
    /// their sound.
    pub(crate) fn carry_calls_over(&mut self, before: IpAddr) {
        let Some(local) = self.link.as_ref().map(|link| link.local) else {
            return;
        };
        for (id, phase) in self.lines.all() {
            if local != before
                && let Err(message) = self.rebind(id, local)
            {
                tracing::warn!(%message, "a call keeps its old address");
                continue;
            }
            match phase {
                Phase::Incoming => self.prepare_again(id),
                Phase::Dialing | Phase::Ringing | Phase::EarlyMedia => self.call_again(id),
                Phase::Answered => {
                    if let Some(line) = self.lines.get_mut(id) {
                        line.untold = true;
                    }
                    self.offer_hold(id);
                }
            }
        }
    }

    /// Our answer to a call that rings here names our sockets.
    fn prepare_again(&mut self, id: CallId) {
        if let Some(line) = self.lines.get_mut(id)
            && let Err(error) = line.prepare(&self.config.codecs)
        {
            // The same offer was taken a moment ago.
            tracing::warn!(%error, "a call keeps its old answer");
        }
    }

    /// The answer to our INVITE would go where we are no longer.
    fn call_again(&mut self, id: CallId) {
        let (Some(line), Some(link)) = (self.lines.get_mut(id), &mut self.link) else {
            return;
        };
        let offer = sdp::offer(&line.local, &self.config.codecs, Direction::SendRecv);
        if link.ua.call_again(Instant::now(), id, offer.into()) {
            tracing::info!("a call that nobody had answered is made again from the new address");
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
