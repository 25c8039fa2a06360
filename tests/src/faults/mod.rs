//! Faults for real: a whole house (Asterisk 22, the server, a database server, agents, dashboards), what can befall it,
//! and a checker of what was said meanwhile.
//!
//! Each [`Situation`] begins, is seen by the dashboard, ends, and is agreed about again; what that took is a [`Figure`].
//! The suite `faults` plays each once, `rollcall-agree` as often as it is told, for `docs/time-to-agree.md`.

mod figures;
mod history;
mod house;
mod situation;

pub use figures::{Figure, table};
pub use house::House;
pub use situation::Situation;
