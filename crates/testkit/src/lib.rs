//! Virtual clock, seeded network and the inputs of fuzz targets for tests.
//!
//! Nothing here reads a clock, opens a socket or draws unseeded chance: the same seed gives the same run.

mod clock;
mod corpus;
mod network;

pub use clock::Clock;
pub use corpus::play_corpus;
pub use network::{Conditions, Datagram, Network};
