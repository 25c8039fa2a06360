//! The heart of the server: who is really there, and why.
//!
//! A pure state machine. It is told what people asked ([`Intent`]), what Asterisk, the database and
//! the apps were seen to do ([`Observation`]) and what became of the commits it asked for
//! ([`Input::Committed`], [`Input::Failed`]); it answers with commits to make, replies and
//! broadcasts that may leave, and asks to the outside ([`Output`]).
//!
//! ```text
//!  intents ----\                                   /--> Commit --> (server) --> Committed / Failed --\
//!  observations --> three records --> R1 decision --                                                 |
//!  time -------/   (intent, observation, decision)  \<-- Reply, Broadcast: only after Committed <-----/
//!                                                    \--> Ask (resync, qualify, evict, re-register)
//! ```
//!
//! It owns the rules: what counts as Available, whose a contact is, when a lease ends, what may be
//! said before a commit (nothing). It refuses to do IO, to read a clock, to lock, and to know of
//! HTTP, Socket.IO, SQL or AMI: the server maps those to the types here.

mod agent;
mod board;
mod book;
mod config;
mod contact;
mod core;
mod decide;
mod explain;
mod flap;
mod input;
mod lease;
mod ledger;
mod names;
mod output;
mod pause;
mod queue;
mod resync;
mod source;
mod time;

pub use crate::board::{
    AgentView, BoardStatus, DeviceView, LeaseView, Reason, ReasonCode, Snapshot, SourceView,
};
pub use crate::config::{Config, DevicePolicy, NonQualifiedPolicy, Registrar};
pub use crate::contact::{
    Claim, ClaimError, Contact, ContactStatus, decode_stored, device_in_user_agent, encode_stored,
    uri_user,
};
pub use crate::core::Core;
pub use crate::explain::{Explanation, IntentView, Term, Verdict};
pub use crate::input::{
    Channel, ChannelState, ContactEvent, DeviceState, EndReason, Failure, Input, Intent,
    Observation, PauseIntent, Person, Restored, Session, SignIn,
};
pub use crate::lease::{LeaseKind, Vitals};
pub use crate::ledger::{Decided, Decision, LedgerEntry, LedgerKind};
pub use crate::names::{
    CommitId, ContactId, DeviceId, Epoch, Extension, IdempotencyKey, LinkId, NameError,
    PauseReason, RequestId, Seq, SessionId,
};
pub use crate::output::{
    Answer, Ask, Broadcast, Commit, ContactRow, EvictReason, Output, Pending, QueueOrder, Refusal,
    Reply, ResyncReason, SessionRow, SessionState, UserRow, Write,
};
pub use crate::pause::{PauseRow, PauseView, PauseWish};
pub use crate::queue::{DRAIN_REASON, Membership};
pub use crate::source::{Source, SourceHealth};
pub use crate::time::Now;
