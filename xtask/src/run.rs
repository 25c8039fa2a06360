//! `cargo xtask run`: provisional.
use crate::Result;
pub(crate) fn run() -> Result<()> {
    Err("not yet".into())
}
