//! Sound devices: cpal, WAV files paced by the media clock, loopback.
