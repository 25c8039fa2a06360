//! What the end-to-end tests stand on: a private Asterisk 22 for each test, the real binaries, a display, WebDriver.
//!
//! Owns starting, driving, watching and ending other programs. It links no product code but the two clients
//! (`rollcall-server-client`, `rollcall-ami`) and the wire's vocabulary: what a test asserts is read from outside.
//!
//! Nothing here sleeps to wait: [`eventually`] looks for a condition until a deadline.

pub mod agent;
pub mod asterisk;
pub mod baresip;
pub mod board;
pub mod database;
pub mod desktop;
pub mod display;
pub mod far_end;
pub mod faults;
pub mod injection;
pub mod kamailio;
pub mod line;
pub mod lossy;
pub mod pbx;
pub mod phone;
pub mod ports;
pub mod program;
pub mod pulse;
pub mod relay;
pub mod scene;
pub mod server;
pub mod sipp;
pub mod sound;
pub mod surroundings;
mod unpacked;
pub mod waiting;

pub use agent::Agent;
pub use asterisk::Asterisk;
pub use baresip::Baresip;
pub use board::Board;
pub use display::Display;
pub use far_end::FarEnd;
pub use kamailio::Kamailio;
pub use pbx::{Pbx, PocketPbx};
pub use program::Program;
pub use pulse::Pulse;
pub use scene::{Mode, Scene};
pub use server::Server;
pub use waiting::eventually;
