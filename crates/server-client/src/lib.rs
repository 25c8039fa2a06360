//! Typed HTTP and Socket.IO client of the Rollcall server.
