//! The state of one direction: rollover counters, replay windows, packet numbers.

use std::fmt;

use super::cipher::{Cipher, Nonce, Stream};
use super::index::{ReplayWindow, estimate};
use super::{MasterKey, Refusal};

/// Bytes of RTCP that are never encrypted: header and SSRC.
const RTCP_HEAD: usize = 8;

/// The word behind SRTCP: whether it is encrypted, and its number.
const ENCRYPTED: u32 = 0x8000_0000;

/// SRTCP numbers have 31 bits.
const LAST_RTCP: u32 = 0x7fff_ffff;

/// RTP numbers have 48 bits.
const LAST_RTP: u64 = (1 << 48) - 1;

/// Streams that one key is believed for: a call has one, and one more after a transfer, a hold, another codec.
const MAX_STREAMS: usize = 8;

/// Protects what we send.
pub(crate) struct Protector {
    key: MasterKey,
    rtp: Cipher,
    rtcp: Cipher,
    /// The index of the last packet.
    last: Option<u64>,
    rtcp_index: u32,
}

impl Protector {
    pub(crate) fn new(key: &MasterKey) -> Protector {
        Protector {
            rtp: Cipher::new(key, Stream::Rtp),
            rtcp: Cipher::new(key, Stream::Rtcp),
            key: key.clone(),
            last: None,
            rtcp_index: 0,
        }
    }

    pub(crate) fn key(&self) -> &MasterKey {
        &self.key
    }

    /// Make an RTP packet an SRTP packet. Sequence numbers never step back by more than half their circle.
    pub(crate) fn protect(&mut self, packet: &mut Vec<u8>) -> Result<(), Refusal> {
        let header = Header::read(packet).ok_or(Refusal::Malformed)?;
        let sequence = header.sequence;
        let index = self
            .last
            .map_or(u64::from(sequence), |last| estimate(last, sequence));
        if index > LAST_RTP {
            return Err(Refusal::UsedUp);
        }
        self.last = Some(self.last.unwrap_or(0).max(index));
        let nonce = Nonce {
            ssrc: header.ssrc,
            index,
        };
        let trailer = rollover(index);
        let trailer = authenticated_rollover(&self.rtp, &trailer);
        self.rtp.seal(nonce, packet, header.length, trailer);
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn rtcp_index_for_test(&mut self, index: u32) {
        self.rtcp_index = index;
    }

    /// Make an RTCP compound an SRTCP packet.
    pub(crate) fn protect_rtcp(&mut self, packet: &mut Vec<u8>) -> Result<(), Refusal> {
        let ssrc = rtcp_ssrc(packet).ok_or(Refusal::Malformed)?;
        if self.rtcp_index > LAST_RTCP {
            return Err(Refusal::UsedUp);
        }
        let nonce = Nonce {
            ssrc,
            index: u64::from(self.rtcp_index),
        };
        let word = (ENCRYPTED | self.rtcp_index).to_be_bytes();
        self.rtcp_index += 1;
        match self.rtcp {
            // The tag stands behind the word (RFC 3711 section 3.4).
            Cipher::CounterMode { .. } => {
                self.rtcp.seal(nonce, packet, RTCP_HEAD, &word);
                let tag = packet.len() - self.rtcp.tag_length();
                packet.splice(tag..tag, word);
            }
            // The word stands behind the tag (RFC 7714 section 9).
            Cipher::Gcm128 { .. } | Cipher::Gcm256 { .. } => {
                self.rtcp.seal(nonce, packet, RTCP_HEAD, &word);
                packet.extend(word);
            }
        }
        Ok(())
    }
}

/// Opens what we receive.
pub(crate) struct Unprotector {
    key: MasterKey,
    rtp: Cipher,
    rtcp: Cipher,
    /// Made by authentic packets only, the youngest last.
    streams: Vec<Incoming>,
    /// Where streams stood under the key before this one.
    before: Vec<(u32, u64)>,
}

#[derive(Debug)]
struct Incoming {
    ssrc: u32,
    rtp: Option<ReplayWindow>,
    rtcp: Option<ReplayWindow>,
}

impl Unprotector {
    pub(crate) fn new(key: &MasterKey) -> Unprotector {
        Unprotector {
            rtp: Cipher::new(key, Stream::Rtp),
            rtcp: Cipher::new(key, Stream::Rtcp),
            key: key.clone(),
            streams: Vec::new(),
            before: Vec::new(),
        }
    }

    /// The same streams go on under another key. Some count on from where they were, some from nought: both are tried.
    pub(crate) fn rekeyed(&self, key: &MasterKey) -> Unprotector {
        let stand = |stream: &Incoming| Some((stream.ssrc, stream.rtp?.highest()));
        Unprotector {
            before: self.streams.iter().filter_map(stand).collect(),
            ..Unprotector::new(key)
        }
    }

    pub(crate) fn key(&self) -> &MasterKey {
        &self.key
    }

    /// Make an SRTP packet the RTP packet that it was. One that is refused is as it came.
    pub(crate) fn unprotect(&mut self, packet: &mut Vec<u8>) -> Result<(), Refusal> {
        let header = Header::read(packet).ok_or(Refusal::Malformed)?;
        let (ssrc, sequence) = (header.ssrc, header.sequence);
        let window = self.stream(ssrc).and_then(|stream| stream.rtp);
        let index = match window {
            Some(window) => {
                let index = estimate(window.highest(), sequence);
                if !window.is_new(index) || index > LAST_RTP {
                    return Err(Refusal::Replayed);
                }
                self.open(packet, &header, index)?;
                index
            }
            None => self.open_first(packet, &header)?,
        };
        let window = &mut self.stream_or_new(ssrc).rtp;
        match window {
            Some(window) => window.note(index),
            None => *window = Some(ReplayWindow::starting_with(index)),
        }
        Ok(())
    }

    /// A stream's first packet: its rollover counter is nought, or goes on from the key before.
    fn open_first(&self, packet: &mut Vec<u8>, header: &Header) -> Result<u64, Refusal> {
        let fresh = u64::from(header.sequence);
        let refused = match self.open(packet, header, fresh) {
            Ok(()) => return Ok(fresh),
            Err(refused) => refused,
        };
        let known = self.before.iter().find(|(ssrc, _)| *ssrc == header.ssrc);
        let (_, highest) = known.ok_or(refused)?;
        let index = estimate(*highest, header.sequence);
        self.open(packet, header, index)?;
        Ok(index)
    }

    fn open(&self, packet: &mut Vec<u8>, header: &Header, index: u64) -> Result<(), Refusal> {
        let nonce = Nonce {
            ssrc: header.ssrc,
            index,
        };
        let trailer = rollover(index);
        let trailer = authenticated_rollover(&self.rtp, &trailer);
        self.rtp.open(nonce, packet, header.length, trailer)
    }

    /// Make an SRTCP packet the RTCP compound that it was.
    pub(crate) fn unprotect_rtcp(&mut self, packet: &mut Vec<u8>) -> Result<(), Refusal> {
        let ssrc = rtcp_ssrc(packet).ok_or(Refusal::Malformed)?;
        // The word stands before HMAC's tag and behind GCM's.
        let behind = match self.rtcp {
            Cipher::CounterMode { .. } => self.rtcp.tag_length(),
            Cipher::Gcm128 { .. } | Cipher::Gcm256 { .. } => 0,
        };
        let at = packet.len().checked_sub(4 + behind);
        let at = at.filter(|at| *at >= RTCP_HEAD).ok_or(Refusal::Malformed)?;
        let word: [u8; 4] = match packet.get(at..at + 4).and_then(|word| word.try_into().ok()) {
            Some(word) => word,
            None => return Err(Refusal::Malformed),
        };
        let number = u32::from_be_bytes(word);
        if number & ENCRYPTED == 0 {
            // We never agreed on reports in the open.
            return Err(Refusal::Unauthentic);
        }
        let index = u64::from(number & LAST_RTCP);
        let window = self.stream(ssrc).and_then(|stream| stream.rtcp);
        if window.is_some_and(|window| !window.is_new(index)) {
            return Err(Refusal::Replayed);
        }
        packet.drain(at..at + 4);
        let nonce = Nonce { ssrc, index };
        self.rtcp.open(nonce, packet, RTCP_HEAD, &word)?;
        let window = &mut self.stream_or_new(ssrc).rtcp;
        match window {
            Some(window) => window.note(index),
            None => *window = Some(ReplayWindow::starting_with(index)),
        }
        Ok(())
    }

    fn stream(&self, ssrc: u32) -> Option<&Incoming> {
        self.streams.iter().find(|stream| stream.ssrc == ssrc)
    }

    fn stream_or_new(&mut self, ssrc: u32) -> &mut Incoming {
        let known = self.streams.iter().position(|stream| stream.ssrc == ssrc);
        let at = known.unwrap_or_else(|| {
            if self.streams.len() == MAX_STREAMS {
                self.streams.remove(0);
            }
            self.streams.push(Incoming {
                ssrc,
                rtp: None,
                rtcp: None,
            });
            self.streams.len() - 1
        });
        &mut self.streams[at]
    }
}

impl fmt::Debug for Protector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Protector({})", self.key.suite().name())
    }
}

impl fmt::Debug for Unprotector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unprotector({})", self.key.suite().name())
    }
}

fn rollover(index: u64) -> [u8; 4] {
    ((index >> 16) as u32).to_be_bytes()
}

/// HMAC's tag covers the rollover counter; GCM has it in its nonce.
fn authenticated_rollover<'a>(cipher: &Cipher, rollover: &'a [u8; 4]) -> &'a [u8] {
    match cipher {
        Cipher::CounterMode { .. } => rollover,
        Cipher::Gcm128 { .. } | Cipher::Gcm256 { .. } => &[],
    }
}

/// The SSRC of an RTCP compound's first packet.
fn rtcp_ssrc(packet: &[u8]) -> Option<u32> {
    let ssrc = packet.get(4..RTCP_HEAD)?;
    Some(u32::from_be_bytes(ssrc.try_into().ok()?))
}

/// As much of an RTP header as SRTP needs: it is read before anybody vouches for it.
#[derive(Debug, Clone, Copy)]
struct Header {
    sequence: u16,
    ssrc: u32,
    /// Bytes with contributing sources and extension.
    length: usize,
}

impl Header {
    fn read(packet: &[u8]) -> Option<Header> {
        let [first, _, high, low, _, _, _, _, ssrc @ ..] = packet.first_chunk::<12>()?;
        if first >> 6 != 2 {
            return None;
        }
        let mut length = 12 + 4 * usize::from(first & 0x0f);
        if first & 0x10 != 0 {
            let words = packet.get(length + 2..length + 4)?;
            let words = u16::from_be_bytes(words.try_into().ok()?);
            length += 4 + 4 * usize::from(words);
        }
        (packet.len() >= length).then_some(Header {
            sequence: u16::from_be_bytes([*high, *low]),
            ssrc: u32::from_be_bytes(*ssrc),
            length,
        })
    }
}
