//! Sans-IO media: SDP, RTP, codecs, jitter buffer.
