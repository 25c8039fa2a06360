//! A call between the far end and our phone at devices of a sound server: what the phone sends, when, and how loud it is.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::far_end::{FarEnd, Registered, loudness};
use crate::phone::{Phone, Running};
use crate::pulse::Pulse;
use crate::sound::Voice;
use crate::waiting::eventually;

/// Louder than anything but the tone that is spoken.
const LOUD: f64 = 0.05;
/// What a packet holds.
const FRAME: Duration = Duration::from_millis(20);
/// A sound server that hangs is noticed after three seconds, and then asked for up to eight.
const SLOWLY: Duration = Duration::from_secs(40);

/// A call that is up, and what came of it.
#[derive(Debug)]
pub struct Line {
    /// The phone.
    pub phone: Running,
    far_end: FarEnd,
    packets: Vec<(Instant, bool)>,
    /// The numbers and the timestamps of the same packets.
    numbers: Vec<(u16, u32)>,
}

/// A stretch of what was sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sent {
    /// So many packets.
    pub packets: usize,
    /// The longest time between two packets.
    pub longest_gap: Duration,
    /// The longest time between two packets with the tone in them.
    pub longest_silence: Duration,
}

impl Line {
    /// Starts a phone at these devices (in the words of `--audio`) and calls it. Needs a runtime around it.
    pub async fn through(pulse: &Pulse, devices: &str) -> Line {
        let far_end = FarEnd::listen();
        let phone = Phone::at("1001", &far_end.address().to_string(), "secret")
            .through_devices(pulse, devices)
            .codecs("pcmu")
            .answering()
            .commanded()
            .start();
        eventually("sound works both ways", SLOWLY, async || {
            match ready(&phone) {
                Some((true, true)) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        let registered: Registered = far_end.registered();
        let _call = far_end.call(&registered);
        Line {
            phone,
            far_end,
            packets: Vec::new(),
            numbers: Vec::new(),
        }
    }

    /// Waits until the phone sends the tone that is spoken, or silence; when it began to.
    pub async fn sends(&mut self, loud: bool) -> Instant {
        let what = if loud {
            "the tone is sent"
        } else {
            "silence is sent"
        };
        let from = self.packets.len();
        eventually(what, SLOWLY, async || {
            self.collect();
            // Five in a row: a click is no tone, and a gap no silence.
            let since = self.packets.get(from..).unwrap_or_default();
            let run = since
                .windows(5)
                .find(|run| run.iter().all(|(_, is)| *is == loud));
            run.map(|run| run[0].0)
                .ok_or_else(|| format!("{} packets", since.len()))
        })
        .await
    }

    /// Waits until both sides work, one of them, or none.
    pub async fn works(&self, microphone: bool, speaker: bool) {
        eventually(
            "the devices work as expected",
            SLOWLY,
            async || match ready(&self.phone) {
                Some(both) if both == (microphone, speaker) => Ok(()),
                other => Err(format!("{other:?}")),
            },
        )
        .await;
    }

    /// Waits until these are the devices in use: microphone and loudspeaker, by their names.
    pub async fn uses(&self, microphone: &str, speaker: &str) {
        eventually("the devices are in use", SLOWLY, async || {
            let events = self.phone.program.events();
            let last = events
                .iter()
                .rfind(|event| event["event"] == "audio_devices");
            let is = |side: &str, wanted: &str| {
                last.and_then(|event| event[side].as_str())
                    .is_some_and(|name| name == wanted)
            };
            match is("microphone", microphone) && is("speaker", speaker) {
                true => Ok(()),
                false => Err(format!("{last:?}")),
            }
        })
        .await;
    }

    /// Waits until it is said that the loudspeaker of this name is gone: as a problem, or, where the sound server stands
    /// another one in before the stream to it breaks, as a change of devices.
    pub async fn misses_its_speaker(&self, name: &str) {
        eventually("the loudspeaker is missed", SLOWLY, async || {
            let events = self.phone.program.events();
            let changed = |event: &Value| {
                event["event"] == "audio_devices"
                    && !event["speaker"].is_null()
                    && event["speaker"] != name
            };
            let missed = |event: &Value| event["event"] == "audio_problem" || changed(event);
            match events.iter().any(missed) {
                true => Ok(()),
                false => Err(format!("{} events", events.len())),
            }
        })
        .await;
    }

    /// Waits until the phone says that there is no device for either side.
    pub async fn has_no_device(&self) {
        eventually("it is said that there is no device", SLOWLY, async || {
            let events = self.phone.program.events();
            let mut told = events.iter();
            match told.any(|event| {
                event["event"] == "audio_problem" && event["code"] == "no_audio_device"
            }) {
                true => Ok(()),
                false => Err(format!("{} events", events.len())),
            }
        })
        .await;
    }

    /// That what was sent so far is one stream without a hole: each packet's number and timestamp follow the last one's,
    /// whenever it came. How many fewer came than were due since the first.
    ///
    /// # Panics
    ///
    /// If a packet does not follow the one before it.
    pub fn missed_without_a_hole(&mut self) -> usize {
        self.collect();
        for pair in self.numbers.windows(2) {
            let [(number, timestamp), next] = [pair[0], pair[1]];
            let expected = (number.wrapping_add(1), timestamp.wrapping_add(160));
            assert_eq!(next, expected, "after {number} at {timestamp}");
        }
        let ends = self.packets.first().zip(self.packets.last());
        let due = ends.map_or(0, |((first, _), (last, _))| {
            (*last - *first).div_duration_f64(FRAME) as usize + 1
        });
        due.saturating_sub(self.packets.len())
    }

    /// The longest time between two packets so far, and how many there were.
    pub fn longest_gap(&mut self) -> (Duration, usize) {
        self.collect();
        let gaps = self.packets.windows(2).map(|pair| pair[1].0 - pair[0].0);
        (gaps.max().unwrap_or(Duration::MAX), self.packets.len())
    }

    /// What was sent from `since` on.
    pub fn sent(&mut self, since: Instant) -> Sent {
        self.collect();
        let all = self.packets.iter().filter(|(at, _)| *at >= since);
        let mut sent = Sent::default();
        let mut before: Option<Instant> = None;
        let mut loud: Option<Instant> = None;
        for (at, is_loud) in all {
            let after = |then: Option<Instant>| then.map_or(Duration::ZERO, |then| *at - then);
            sent.packets += 1;
            sent.longest_gap = sent.longest_gap.max(after(before.replace(*at)));
            if *is_loud {
                sent.longest_silence = sent.longest_silence.max(after(loud.replace(*at)));
            }
        }
        sent
    }

    /// Waits until the phone says that its microphone works, having said that it does not; when it said so, to a
    /// millisecond or two. It says so in the turn in which it saw the device's first callback.
    pub async fn microphone_wakes(&self) -> Instant {
        let deadline = Instant::now() + SLOWLY;
        while !ready(&self.phone).is_some_and(|(microphone, _)| microphone) {
            assert!(Instant::now() < deadline, "no microphone works");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Instant::now()
    }

    fn collect(&mut self) {
        let came = self.far_end.rtp(Duration::ZERO);
        let judged = came
            .iter()
            .map(|arrival| (arrival.at, loudness(&arrival.bytes) > LOUD));
        self.packets.extend(judged);
        let numbers = came.iter().filter_map(|arrival| {
            let number = arrival.bytes.get(2..4)?.try_into().ok()?;
            let timestamp = arrival.bytes.get(4..8)?.try_into().ok()?;
            Some((u16::from_be_bytes(number), u32::from_be_bytes(timestamp)))
        });
        self.numbers.extend(numbers);
    }
}

/// What the phone said last of its microphone and its loudspeaker.
fn ready(phone: &Running) -> Option<(bool, bool)> {
    let events = phone.program.events();
    let last = events
        .iter()
        .rfind(|event| event["event"] == "audio_ready")?;
    Some((last["microphone"] == true, last["speaker"] == true))
}

/// A tone to speak, of half a minute.
pub fn tone(folder: &tempfile::TempDir) -> Voice {
    Voice::new(folder, "line", 440.0)
}
