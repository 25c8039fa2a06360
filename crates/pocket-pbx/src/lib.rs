//! A sans-IO model of a small Asterisk for first runs, simulations and tests; never for production.
//!
//! It owns what Asterisk 22 does for the people of one small site: a registrar with digest, reachability by OPTIONS,
//! an echo number, calls between two people with relayed sound, queues for their members' pauses, and the manager
//! interface that tells of all that. It refuses everything else, transcoding included, and it speaks to no database.

mod config;
pub mod pbx;
pub mod relay;
mod shell;

pub use config::{AorPolicy, Config, ConfigError, Manager, Person, Queue};
pub use pbx::Pbx;
pub use rollcall_ami::Secret;
pub use shell::{PocketPbx, Running, StartError};
