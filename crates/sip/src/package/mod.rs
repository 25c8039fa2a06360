//! Bodies of NOTIFY, by event package: what voicemail holds, and what another phone's line is doing.
//!
//! Owns reading, with bounds on size and count; refuses to decide what a lamp looks like.

mod dialog_info;
mod message_summary;

pub use dialog_info::{Activity, DialogInfo, DialogState, Lines, ObservedDialog};
pub use message_summary::{Count, MessageSummary};

/// The event package of voicemail (RFC 3842).
pub const MESSAGE_SUMMARY: &str = "message-summary";
/// The event package of a line's dialogs (RFC 4235).
pub const DIALOG: &str = "dialog";

/// Larger bodies are not read, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// More than 64 KiB.
    #[error("the body is longer than 64 KiB")]
    TooLong,
    /// More dialogs than any phone has.
    #[error("the body names more than 64 dialogs")]
    TooMany,
    /// Not what its type says.
    #[error("the body is no {0}")]
    Malformed(&'static str),
}
