//! What must hold of any input: one function a target. The tests of the crates play them with a fixed number of inputs.

pub mod media;
pub mod sip;
