//! What a session tells besides sound.

use crate::dtmf::Digit;

/// Something that happened on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEvent {
    /// The other side pressed a key: once for each press, at its first packet.
    Digit(Digit),
}
