//! The phone engine: SIP, media and audio with threads and timers.
