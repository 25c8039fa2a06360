//! What the end-to-end tests stand on: a private Asterisk 22 for each test, the real binaries, a display, WebDriver.
//!
//! Owns starting, driving, watching and ending other programs. It links no product code but the two clients
//! (`rollcall-server-client`, `rollcall-ami`) and the wire's vocabulary: what a test asserts is read from outside.
//!
//! Nothing here sleeps to wait: [`eventually`] looks for a condition until a deadline.

pub mod asterisk;
pub mod phone;
pub mod ports;
pub mod program;
pub mod sound;
pub mod surroundings;
pub mod waiting;

pub use asterisk::Asterisk;
pub use program::Program;
pub use waiting::eventually;
