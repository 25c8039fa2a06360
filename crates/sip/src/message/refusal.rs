//! Why a message was not accepted.

/// A message or a part of it that cannot be acted upon (RFC 3261 section 16.3, 8.2).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code} {reason}")]
pub struct Refusal {
    /// The response code a server answers a request of this kind with: 400, 405, 413, 416, 420, 501, 505.
    pub code: u16,
    /// What was wrong, in words; never quotes more than a short excerpt of the input.
    pub reason: String,
}

impl Refusal {
    pub(crate) fn new(code: u16, reason: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
        }
    }

    pub(crate) fn bad_request(reason: impl Into<String>) -> Self {
        Self::new(400, reason)
    }
}
