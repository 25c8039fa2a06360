//! The demo's day without a window.
use super::demo::Demo;
use crate::Result;
use crate::process::Household;
pub(crate) fn play(_household: &mut Household, _demo: &Demo, _url: &str) -> Result<()> {
    Err("not yet".into())
}
