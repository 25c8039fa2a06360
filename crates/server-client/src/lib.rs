//! Typed HTTP and Socket.IO client of the Rollcall server.
//!
//! Owns time-outs, bounded retries with idempotency keys, the one Socket.IO connection of a process
//! and its repair. Refuses to keep a password, to guess a state, and to make up a heartbeat.
//!
//! ```no_run
//! # async fn example() -> Result<(), rollcall_server_client::ClientError> {
//! use rollcall_server_client::{Client, Realtime, RealtimeEvent};
//! use rollcall_wire::http::LoginRequest;
//!
//! let client = Client::new("http://127.0.0.1:8080")?;
//! let signed_in = client
//!     .login(&LoginRequest { username: "agent1001".into(), password: "...".into(), device_id: None })
//!     .await?;
//! let (realtime, mut events) = Realtime::connect(&client, signed_in.tokens.sip.clone());
//! while let Some(event) = events.next().await {
//!     if let RealtimeEvent::Snapshot(board) = event {
//!         println!("{} agents", board.agents.len());
//!         break;
//!     }
//! }
//! realtime.close().await;
//! # Ok(()) }
//! ```

mod backoff;
mod client;
mod error;
mod realtime;

pub use client::{Client, Keyed, Timing};
pub use error::ClientError;
pub use realtime::{Realtime, RealtimeEvent, RealtimeEvents};
