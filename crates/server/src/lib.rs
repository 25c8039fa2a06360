//! The server that knows which agents are really there.
//!
//! ```text
//! HTTP, Socket.IO ─► routes, realtime ─► core_link (commands) ─► driver ─► alignment (pure)
//!                         ▲                                       │  ▲
//!                         └── core_link (board, notices) ◄────────┘  └─ asterisk (AMI)
//!                                                                 └──► db (one writer)
//! ```
//!
//! This crate owns everything around the pure core that does IO: the configuration ([`config`]),
//! the database with its one writer ([`db`]), who may speak ([`auth`]), the HTTP edge (`routes`),
//! the Socket.IO edge (`realtime`), and the driver that feeds the core and carries out what it
//! asks. It refuses decisions about anybody's state: those are `rollcall-alignment`'s.
//!
//! [`start`] needs no global state and sets none: several servers live in one process, and a test
//! or the desktop app starts one as the binary does.

pub mod asterisk;
pub mod auth;
mod budget;
mod clock;
pub mod config;
pub mod core_link;
pub mod db;
pub mod doctor;
mod driver;
pub mod events;
mod expiry;
mod instance;
mod line;
mod listen;
pub mod metrics;
mod people;
pub mod provision;
mod realtime;
mod routes;
mod running;
mod shares;
mod tls;

pub use config::Config;
pub use db::{BackupError, backup, restore};
pub use instance::InstanceError;
pub use people::{Actor, NewPasswords, NewPerson, Office, PersonError, add_person, note, prepare};
pub use running::{Running, StartError, start};
pub use tls::TlsError;
