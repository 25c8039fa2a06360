//! RTCP on the wire (RFC 3550 section 6, RFC 3611): five fixed layouts, read and written.
//!
//! A compound packet is judged whole before anything in it is believed (RFC 3550 appendix A.2).

/// Packet types.
const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const BYE: u8 = 203;
const EXTENDED_REPORT: u8 = 207;

/// The item of a source description that must be there.
const CNAME: u8 = 1;

/// Block type of the VoIP metrics, and its length in words without the header (RFC 3611 section 4.7).
const VOIP_METRICS: u8 = 7;
const VOIP_METRICS_WORDS: u16 = 8;

/// What one side says of the other's stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ReportBlock {
    /// Whose stream.
    pub(crate) ssrc: u32,
    /// Lost since the last report, in 256ths.
    pub(crate) fraction_lost: u8,
    /// Lost in all, 24 bits with a sign: duplicates can make it negative.
    pub(crate) cumulative_lost: i32,
    pub(crate) highest_sequence: u32,
    /// In ticks of the stream's clock.
    pub(crate) jitter: u32,
    /// The middle 32 bits of the last sender report's time; 0 before the first.
    pub(crate) last_report: u32,
    /// How long ago that was, in 65,536ths of a second.
    pub(crate) delay: u32,
}

/// When and how much a sender has sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct SenderInfo {
    /// 32 bits of seconds, 32 bits of fraction.
    pub(crate) ntp: u64,
    pub(crate) rtp_timestamp: u32,
    pub(crate) packets: u32,
    pub(crate) octets: u32,
}

/// What RFC 3611 section 4.7 tells of a call. 127 in a quality, and 65,535 in a duration never reached, mean "unknown".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct VoipMetrics {
    pub(crate) ssrc: u32,
    /// Of all packets, in 256ths: lost, and thrown away as too late.
    pub(crate) loss_rate: u8,
    pub(crate) discard_rate: u8,
    /// Of the packets in bursts and in the gaps between them, in 256ths.
    pub(crate) burst_density: u8,
    pub(crate) gap_density: u8,
    /// In milliseconds.
    pub(crate) burst_duration: u16,
    pub(crate) gap_duration: u16,
    pub(crate) round_trip: u16,
    pub(crate) end_system_delay: u16,
    /// 0 to 100.
    pub(crate) r_factor: u8,
    /// Tenths, 10 to 50.
    pub(crate) mos_lq: u8,
    pub(crate) mos_cq: u8,
    /// Of the jitter buffer, in milliseconds.
    pub(crate) playout_delay: u16,
}

/// What is unknown.
pub(crate) const UNKNOWN: u8 = 127;

/// One packet of a compound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    Sender(u32, SenderInfo, Blocks<'a>),
    Receiver(u32, Blocks<'a>),
    Bye(u32),
    VoipMetrics(u32, VoipMetrics),
    /// Source descriptions and what we know nothing of.
    Other,
}

/// Report blocks, read as they are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Blocks<'a>(&'a [u8]);

/// A datagram that is no RTCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// True when a datagram on a port shared with RTP is RTCP (RFC 5761 section 4).
pub(crate) fn is_rtcp(bytes: &[u8]) -> bool {
    matches!(bytes, [first, 192..=223, ..] if first >> 6 == 2)
}

/// Read a compound packet.
pub(crate) fn read(bytes: &[u8]) -> Result<impl Iterator<Item = Packet<'_>>, Malformed> {
    let begins_right = matches!(bytes.get(1), Some(&(SENDER_REPORT | RECEIVER_REPORT)));
    if !begins_right || parts(bytes).any(|part| part.is_none()) {
        return Err(Malformed);
    }
    Ok(parts(bytes).flatten().map(|(kind, count, body)| {
        // A packet that claims more than it has tells nothing.
        packet(kind, count, body).unwrap_or(Packet::Other)
    }))
}

/// Kind, count and body of a packet.
type Part<'a> = (u8, u8, &'a [u8]);

/// Each packet; a `None` where the compound breaks off.
fn parts(mut bytes: &[u8]) -> impl Iterator<Item = Option<Part<'_>>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let Some((part, rest)) = split(bytes) else {
            bytes = &[];
            return Some(None);
        };
        bytes = rest;
        Some(Some(part))
    })
}

fn split(bytes: &[u8]) -> Option<(Part<'_>, &[u8])> {
    let ([first, kind, high, low], rest) = bytes.split_first_chunk()?;
    let length = 4 * usize::from(u16::from_be_bytes([*high, *low]));
    let (body, rest) = rest.split_at_checked(length)?;
    if first >> 6 != 2 {
        return None;
    }
    let padding = match first & 0x20 {
        0 => 0,
        // Only the last of a compound may be padded.
        _ if !rest.is_empty() => return None,
        _ => usize::from(*body.last()?),
    };
    let body = body.get(..body.len().checked_sub(padding)?)?;
    Some(((*kind, first & 0x1f, body), rest))
}

fn packet(kind: u8, count: u8, body: &[u8]) -> Option<Packet<'_>> {
    let mut fields = Fields(body);
    let ssrc = match kind {
        BYE if count == 0 => return None,
        _ => fields.u32()?,
    };
    Some(match kind {
        SENDER_REPORT => {
            let info = SenderInfo {
                ntp: u64::from(fields.u32()?) << 32 | u64::from(fields.u32()?),
                rtp_timestamp: fields.u32()?,
                packets: fields.u32()?,
                octets: fields.u32()?,
            };
            Packet::Sender(ssrc, info, fields.blocks(count)?)
        }
        RECEIVER_REPORT => Packet::Receiver(ssrc, fields.blocks(count)?),
        BYE => Packet::Bye(ssrc),
        EXTENDED_REPORT => Packet::VoipMetrics(ssrc, fields.voip_metrics()?),
        _ => Packet::Other,
    })
}

impl Iterator for Blocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        let mut fields = Fields(self.0);
        let block = fields.block();
        self.0 = fields.0;
        block
    }
}

/// Reads numbers off the front.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    const BLOCK: usize = 24;

    fn u8(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn u16(&mut self) -> Option<u16> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*first))
    }

    fn u32(&mut self) -> Option<u32> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*first))
    }

    fn blocks(&self, count: u8) -> Option<Blocks<'a>> {
        self.0.get(..usize::from(count) * Fields::BLOCK).map(Blocks)
    }

    fn block(&mut self) -> Option<ReportBlock> {
        let ssrc = self.u32()?;
        let losses = self.u32()?;
        Some(ReportBlock {
            ssrc,
            fraction_lost: (losses >> 24) as u8,
            // The sign is that of 24 bits.
            cumulative_lost: (losses << 8) as i32 >> 8,
            highest_sequence: self.u32()?,
            jitter: self.u32()?,
            last_report: self.u32()?,
            delay: self.u32()?,
        })
    }

    /// The VoIP metrics among the blocks of an extended report.
    fn voip_metrics(&mut self) -> Option<VoipMetrics> {
        loop {
            let (kind, _, words) = (self.u8()?, self.u8()?, self.u16()?);
            let (block, rest) = self.0.split_at_checked(4 * usize::from(words))?;
            if kind == VOIP_METRICS && words == VOIP_METRICS_WORDS {
                return Fields(block).metrics();
            }
            self.0 = rest;
        }
    }

    fn metrics(&mut self) -> Option<VoipMetrics> {
        let mut metrics = VoipMetrics {
            ssrc: self.u32()?,
            loss_rate: self.u8()?,
            discard_rate: self.u8()?,
            burst_density: self.u8()?,
            gap_density: self.u8()?,
            burst_duration: self.u16()?,
            gap_duration: self.u16()?,
            round_trip: self.u16()?,
            end_system_delay: self.u16()?,
            ..VoipMetrics::default()
        };
        let _signal_noise_echo_gmin = self.u32()?;
        metrics.r_factor = self.u8()?;
        let _external_r_factor = self.u8()?;
        metrics.mos_lq = self.u8()?;
        metrics.mos_cq = self.u8()?;
        let _configuration = self.u16()?;
        metrics.playout_delay = self.u16()?;
        Some(metrics)
    }
}

/// Writes a compound packet into a buffer that is replaced.
#[derive(Debug)]
pub(crate) struct Writer<'a>(&'a mut Vec<u8>);

impl<'a> Writer<'a> {
    pub(crate) fn new(bytes: &'a mut Vec<u8>) -> Writer<'a> {
        bytes.clear();
        Writer(bytes)
    }

    /// A sender report, or without `sent` a receiver report.
    pub(crate) fn report(
        &mut self,
        ssrc: u32,
        sent: Option<SenderInfo>,
        block: Option<ReportBlock>,
    ) -> &mut Self {
        let kind = match sent {
            Some(_) => SENDER_REPORT,
            None => RECEIVER_REPORT,
        };
        self.packet(kind, u8::from(block.is_some()), |bytes| {
            bytes.extend(ssrc.to_be_bytes());
            if let Some(info) = sent {
                bytes.extend(info.ntp.to_be_bytes());
                for word in [info.rtp_timestamp, info.packets, info.octets] {
                    bytes.extend(word.to_be_bytes());
                }
            }
            if let Some(block) = block {
                let lost = (block.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff) as u32) & 0xff_ffff;
                let losses = u32::from(block.fraction_lost) << 24 | lost;
                for word in [
                    block.ssrc,
                    losses,
                    block.highest_sequence,
                    block.jitter,
                    block.last_report,
                    block.delay,
                ] {
                    bytes.extend(word.to_be_bytes());
                }
            }
        })
    }

    /// A source description with the canonical name alone: nothing else is anybody's business (RFC 7022).
    pub(crate) fn description(&mut self, ssrc: u32, cname: &str) -> &mut Self {
        self.packet(SOURCE_DESCRIPTION, 1, |bytes| {
            let name = cname.as_bytes();
            let name = name.get(..name.len().min(255)).unwrap_or_default();
            bytes.extend(ssrc.to_be_bytes());
            bytes.extend([CNAME, name.len() as u8]);
            bytes.extend(name);
            // At least one nought ends the list.
            bytes.push(0);
        })
    }

    pub(crate) fn voip_metrics(&mut self, ssrc: u32, metrics: &VoipMetrics) -> &mut Self {
        self.packet(EXTENDED_REPORT, 0, |bytes| {
            bytes.extend(ssrc.to_be_bytes());
            bytes.extend([VOIP_METRICS, 0]);
            bytes.extend(VOIP_METRICS_WORDS.to_be_bytes());
            bytes.extend(metrics.ssrc.to_be_bytes());
            bytes.extend([
                metrics.loss_rate,
                metrics.discard_rate,
                metrics.burst_density,
                metrics.gap_density,
            ]);
            for time in [
                metrics.burst_duration,
                metrics.gap_duration,
                metrics.round_trip,
                metrics.end_system_delay,
            ] {
                bytes.extend(time.to_be_bytes());
            }
            // Signal, noise and echo levels are not measured; Gmin is that of RFC 3611.
            bytes.extend([UNKNOWN, UNKNOWN, UNKNOWN, super::reception::GMIN as u8]);
            bytes.extend([metrics.r_factor, UNKNOWN, metrics.mos_lq, metrics.mos_cq]);
            // Standard concealment, a jitter buffer that adapts.
            bytes.extend([0b1111_0000, 0]);
            for delay in [metrics.playout_delay, metrics.playout_delay, u16::MAX] {
                bytes.extend(delay.to_be_bytes());
            }
        })
    }

    pub(crate) fn bye(&mut self, ssrc: u32) -> &mut Self {
        self.packet(BYE, 1, |bytes| bytes.extend(ssrc.to_be_bytes()))
    }

    fn packet(&mut self, kind: u8, count: u8, body: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        let start = self.0.len();
        self.0.extend([0x80 | count, kind, 0, 0]);
        body(self.0);
        while !(self.0.len() - start).is_multiple_of(4) {
            self.0.push(0);
        }
        let words = ((self.0.len() - start) / 4 - 1) as u16;
        if let Some(length) = self.0.get_mut(start + 2..start + 4) {
            length.copy_from_slice(&words.to_be_bytes());
        }
        self
    }
}
