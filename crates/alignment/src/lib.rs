//! The heart of the server: who is really there, and why.
