//! Reports both ways, and the record of the call.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{Config, Session, Transmit};
use crate::SAMPLE_RATE;
use crate::codec::Codec;
use crate::quality::{Monitor, Quality, Snapshot};
use crate::rtcp::{self, Arrived, Control, Reception, SenderInfo};

/// What a session keeps for RTCP.
#[derive(Debug)]
pub(super) struct Controlling {
    control: Control,
    reception: Reception,
    monitor: Monitor,
    /// The loss that our encoder was told of last, in percent.
    expected_loss: u8,
    // Kept for its capacity.
    packet: Vec<u8>,
}

impl Controlling {
    pub(super) fn new(config: &Config) -> Controlling {
        Controlling {
            control: Control::new(config.ssrc, config.control_seed),
            reception: Reception::default(),
            monitor: Monitor::new(config.negotiated.codec),
            expected_loss: 0,
            packet: Vec::new(),
        }
    }

    pub(super) fn heard(&mut self, now: Instant, ssrc: u32, sequence: u16) {
        self.monitor.begin(now);
        self.reception.note(ssrc, sequence);
    }

    pub(super) fn use_codec(&mut self, codec: Codec) {
        self.monitor.use_codec(codec);
    }

    /// Loss is believed at once and forgotten slowly: half of it with each report that shows less.
    fn loss_to_expect(&mut self) -> Option<u8> {
        let reported = (100.0 * self.control.remote().loss?).round() as u8;
        self.expected_loss = reported.max(self.expected_loss / 2);
        Some(self.expected_loss)
    }
}

impl Session {
    /// Take in a datagram from the call's RTCP socket, where there is one of its own.
    pub fn handle_control(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        if !rtcp::is_rtcp(bytes) {
            self.counters.malformed += 1;
            return;
        }
        self.opened(bytes, |session, bytes| {
            session.hear_report(now, from, bytes)
        });
    }

    pub(super) fn hear_report(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        // Its port is its own affair: NAT may have changed it, and nothing here moves where we send.
        let expected = [self.destination().ip(), self.negotiated.remote.ip()];
        if !expected.contains(&from.ip()) {
            self.counters.foreign += 1;
            return;
        }
        match self.control.control.handle(now, bytes) {
            Ok(spoke_of_us) => {
                self.counters.reports += 1;
                let Controlling {
                    control, monitor, ..
                } = &mut self.control;
                if spoke_of_us {
                    monitor.heard(control.remote());
                }
                if spoke_of_us && let Some(percent) = self.control.loss_to_expect() {
                    self.loss_reported(percent);
                }
            }
            Err(_) => self.counters.malformed += 1,
        }
    }

    /// The report that is due now, if one is. It goes out of the RTP socket where
    /// [`RtcpParameters::mux`](crate::sdp::RtcpParameters::mux) was agreed on, else out of the RTCP socket.
    pub fn poll_control(&mut self, now: Instant) -> Option<Transmit<'_>> {
        let destination = self.control_destination()?;
        if !self.control.control.is_due(now) {
            return None;
        }
        let (sent, snapshot) = (self.sender_info(), self.snapshot());
        let metrics = self.negotiated.rtcp.voip_metrics.then_some(());
        let Controlling {
            control,
            reception,
            monitor,
            packet,
            ..
        } = &mut self.control;
        let snapshot = snapshot.with(control, reception);
        monitor.sample(now, &snapshot);
        let stream = reception.ssrc();
        let arrived = Arrived {
            jitter: snapshot.jitter_ticks(),
            metrics: metrics
                .and(stream)
                .map(|ssrc| monitor.metrics(ssrc, &snapshot)),
        };
        control.report(now, sent, reception, arrived, packet);
        if let Some(secured) = &mut self.secured {
            secured.protect_report(packet)?;
        }
        Some(Transmit {
            destination,
            bytes: packet,
        })
    }

    /// The last word of our stream: a report and BYE. What was measured since the last report goes into the record.
    pub fn goodbye(&mut self, now: Instant) -> Option<Transmit<'_>> {
        let (sent, snapshot) = (self.sender_info(), self.snapshot());
        let destination = self.control_destination();
        let Controlling {
            control,
            reception,
            monitor,
            packet,
            ..
        } = &mut self.control;
        let snapshot = snapshot.with(control, reception);
        monitor.sample(now, &snapshot);
        let arrived = Arrived {
            jitter: snapshot.jitter_ticks(),
            metrics: None,
        };
        let destination = destination?;
        control.goodbye(now, sent, reception, arrived, packet);
        if let Some(secured) = &mut self.secured {
            secured.protect_report(packet)?;
        }
        Some(Transmit {
            destination,
            bytes: packet,
        })
    }

    /// The record of the call so far.
    pub fn quality(&self, now: Instant) -> Quality {
        let Controlling {
            control,
            reception,
            monitor,
            ..
        } = &self.control;
        let snapshot = self.snapshot().with(control, reception);
        let mut record = monitor.record(now, &snapshot);
        let counters = self.counters();
        record.received.packets = counters.received;
        let time =
            |samples: u64| Duration::from_micros(samples * 1_000 / u64::from(SAMPLE_RATE / 1_000));
        record.received.left_out = time(counters.shortened);
        record.received.put_in = time(counters.lengthened);
        record.received.starved = counters.starved;
        record.sent.packets = counters.sent;
        let remote = control.remote();
        if remote.reports > 0 && counters.sent > 0 {
            let share = remote.lost as f64 / counters.sent as f64;
            record.sent.loss = Some(share.min(1.0));
        }
        record.source_changes = counters.source_changes;
        record.network_changes = counters.rebound;
        record.restarts = counters.restarts;
        record.encrypted = !self.was_open;
        record
    }

    /// The other side reports that it loses this share of our packets, 0 to 100 percent.
    fn loss_reported(&mut self, percent: u8) {
        if let Err(error) = self.set_expected_loss(percent) {
            tracing::debug!(%error, percent, "the encoder could not be told of a loss");
        }
    }

    /// Where the RTP goes when the port is shared, else where the other side said, else the port above.
    fn control_destination(&self) -> Option<SocketAddr> {
        let rtp = self.destination();
        if rtp.ip().is_unspecified() {
            return None;
        }
        let rtcp = &self.negotiated.rtcp;
        if rtcp.mux {
            return Some(rtp);
        }
        // Behind NAT, what was signalled is not where it is.
        let is_where_it_said = rtp == self.negotiated.remote;
        let signalled = rtcp.remote.filter(|_| is_where_it_said);
        let above = || Some(SocketAddr::new(rtp.ip(), rtp.port().checked_add(1)?));
        signalled.or_else(above)
    }

    fn sender_info(&self) -> SenderInfo {
        SenderInfo {
            ntp: 0,
            rtp_timestamp: self.sending.timestamp(),
            // Both counts wrap on the wire.
            packets: self.counters.sent as u32,
            octets: self.counters.sent_octets as u32,
        }
    }

    fn snapshot(&self) -> Measured {
        let counters = self.counters();
        Measured {
            codec: self.receiving.codec(),
            sends: self.negotiated.codec,
            unplayed: counters.late + counters.discarded,
            jitter: counters.jitter,
            playout_delay: counters.target_delay.unwrap_or_default(),
        }
    }
}

/// The session's half of a [`Snapshot`].
#[derive(Debug, Clone, Copy)]
struct Measured {
    codec: Codec,
    sends: Codec,
    unplayed: u64,
    jitter: Option<Duration>,
    playout_delay: Duration,
}

impl Measured {
    fn with<'a>(self, control: &'a Control, reception: &Reception) -> Snapshot<'a> {
        Snapshot {
            codec: self.codec,
            sends: self.sends,
            totals: reception.totals(),
            unplayed: self.unplayed,
            jitter: self.jitter,
            playout_delay: self.playout_delay,
            bursts: *reception.bursts(),
            remote: control.remote(),
        }
    }
}

impl Snapshot<'_> {
    /// In ticks of the codec's clock.
    fn jitter_ticks(&self) -> u32 {
        let seconds = self.jitter.unwrap_or_default().as_secs_f64();
        (seconds * f64::from(self.codec.clock_rate())) as u32
    }
}
