//! The server that knows which agents are really there.
