//! Rollcall, the desktop app.
fn main() { rollcall_desktop::run() }
