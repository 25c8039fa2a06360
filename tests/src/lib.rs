//! What the end-to-end tests stand on: a private Asterisk, the real binaries, a display.
