//! Who may speak: sessions, passwords, tokens, the sealing of SIP secrets, limits on guessing.

pub(crate) mod files;
pub(crate) mod guesses;
pub(crate) mod passwords;
pub(crate) mod seal;
pub(crate) mod tokens;

pub use seal::SealError;

use rollcall_wire::http::Role;
use uuid::Uuid;

/// The id of one device session, from login to logout.
pub type SessionId = Uuid;

/// One sign-in on one device: whom a request or a connection speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The session's id.
    pub id: SessionId,
    /// The user's row.
    pub user_id: i64,
    /// The user's name.
    pub username: String,
    /// The user's extension; none for people without a phone.
    pub extension: Option<String>,
    /// What the user may do.
    pub role: Role,
    /// Whether its tokens are good together with the device's name only.
    pub bound: bool,
    /// The device: as named at login, or made up by the server where none was.
    pub device_id: String,
}
