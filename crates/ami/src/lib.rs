//! Asterisk Manager Interface: sans-IO framing, typed events and actions, an async client.
