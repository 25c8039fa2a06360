//! Rollcall's vocabulary on the wire: HTTP, Socket.IO and what the app's windows read.
