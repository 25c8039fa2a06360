//! Virtual clock and seeded network for tests.
//!
//! Nothing here reads a clock, opens a socket or draws unseeded chance: the same seed gives the same run.

mod clock;
mod network;

pub use clock::Clock;
pub use network::{Conditions, Datagram, Network};
