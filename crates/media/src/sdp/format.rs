//! One payload format of an `m=` line: number, codec and parameters (RFC 8866 section 6.6, RFC 7587).

use sdp_types::Media;

use super::OpusParameters;
use crate::codec::Codec;

/// A payload type that we understand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) payload_type: u8,
    pub(super) codec: Codec,
    pub(super) opus: OpusParameters,
}

impl Format {
    /// The format under the number that our own offers give it.
    pub(super) fn offered(codec: Codec) -> Format {
        let payload_type = match codec {
            Codec::Opus => 111,
            Codec::G722 => 9,
            Codec::Pcmu => 0,
            Codec::Pcma => 8,
        };
        Format {
            payload_type,
            codec,
            opus: OpusParameters::default(),
        }
    }

    /// The same number with our own parameters: `a=fmtp` says what its writer wants to receive.
    pub(super) fn answered(self) -> Format {
        Format {
            opus: OpusParameters::default(),
            ..self
        }
    }

    pub(super) fn write(self, media: &mut Media) {
        let number = self.payload_type;
        let name = self.codec.encoding_name();
        match self.codec {
            // Always 48000/2, whatever is really sent (RFC 7587 section 7).
            Codec::Opus => {
                media.add_attribute_with_value("rtpmap", format!("{number} {name}/48000/2"));
                media.add_attribute_with_value("fmtp", format!("{number} useinbandfec=1"));
            }
            codec => {
                let clock = codec.clock_rate();
                media.add_attribute_with_value("rtpmap", format!("{number} {name}/{clock}"));
            }
        }
    }
}

/// The formats of a media line that we understand, in the writer's order of preference.
pub(super) fn read(media: &Media) -> Vec<Format> {
    payload_types(media)
        .filter_map(|payload_type| {
            let codec = codec(&encoding(media, payload_type)?)?;
            Some(Format {
                payload_type,
                codec,
                opus: opus_parameters(media, payload_type),
            })
        })
        .collect()
}

/// Telephone events under one payload type (RFC 4733 section 2.5.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EventFormat {
    pub(super) payload_type: u8,
    pub(super) clock_rate: u32,
}

impl EventFormat {
    /// What our own offers say: events at the clock of each codec, since one stream has one clock.
    pub(super) fn offered(codecs: &[Codec]) -> Vec<EventFormat> {
        let known = [(101, 8_000), (102, 48_000)];
        let spoken = known
            .into_iter()
            .filter(|(_, rate)| codecs.iter().any(|codec| codec.clock_rate() == *rate));
        spoken
            .map(|(payload_type, clock_rate)| EventFormat {
                payload_type,
                clock_rate,
            })
            .collect()
    }

    /// The one that shares the codec's clock, else the first: an older Asterisk knows 8 kHz only.
    pub(super) fn fitting(formats: &[EventFormat], codec: Codec) -> Option<EventFormat> {
        let same_clock = |format: &&EventFormat| format.clock_rate == codec.clock_rate();
        let same = formats.iter().find(same_clock);
        same.or(formats.first()).copied()
    }

    pub(super) fn write(self, media: &mut Media) {
        let (number, clock) = (self.payload_type, self.clock_rate);
        media.add_attribute_with_value("rtpmap", format!("{number} telephone-event/{clock}"));
        media.add_attribute_with_value("fmtp", format!("{number} 0-15"));
    }
}

/// The telephone events of a media line, in the writer's order.
pub(super) fn read_events(media: &Media) -> Vec<EventFormat> {
    let event = |payload_type| {
        let encoding = encoding(media, payload_type)?.to_ascii_lowercase();
        let clock = encoding.strip_prefix("telephone-event/")?;
        let clock_rate = clock.strip_suffix("/1").unwrap_or(clock).parse().ok()?;
        // Durations of 20 ms have to be whole ticks, and all of a key's has to fit into 16 bits.
        (8_000..=96_000)
            .contains(&clock_rate)
            .then_some(EventFormat {
                payload_type,
                clock_rate,
            })
    };
    payload_types(media).filter_map(event).collect()
}

/// All encodings of a media line by name, for a person to read.
pub(super) fn names(media: &Media) -> String {
    let names: Vec<String> = payload_types(media)
        .map(|number| encoding(media, number).unwrap_or_else(|| number.to_string()))
        .collect();
    if names.is_empty() {
        "nothing".to_owned()
    } else {
        names.join(", ")
    }
}

/// RTP has 7 bits for the number; anything else on the line is skipped.
fn payload_types(media: &Media) -> impl Iterator<Item = u8> {
    media
        .fmt
        .split_ascii_whitespace()
        .filter_map(|word| word.parse().ok())
        .filter(|number| *number < 128)
}

/// `encoding/clock[/channels]` of a payload type; the static ones need no rtpmap (RFC 3551 table 4).
fn encoding(media: &Media, payload_type: u8) -> Option<String> {
    let mapped = value_for(media, "rtpmap", payload_type);
    mapped
        .or(match payload_type {
            0 => Some("PCMU/8000"),
            8 => Some("PCMA/8000"),
            9 => Some("G722/8000"),
            _ => None,
        })
        .map(str::to_owned)
}

fn codec(encoding: &str) -> Option<Codec> {
    match encoding.to_ascii_lowercase().as_str() {
        "opus/48000/2" => Some(Codec::Opus),
        "g722/8000" | "g722/8000/1" => Some(Codec::G722),
        "pcmu/8000" | "pcmu/8000/1" => Some(Codec::Pcmu),
        "pcma/8000" | "pcma/8000/1" => Some(Codec::Pcma),
        _ => None,
    }
}

fn opus_parameters(media: &Media, payload_type: u8) -> OpusParameters {
    let mut parameters = OpusParameters::default();
    let Some(fmtp) = value_for(media, "fmtp", payload_type) else {
        return parameters;
    };
    for (name, value) in fmtp.split(';').filter_map(|pair| pair.split_once('=')) {
        let value = value.trim();
        match name.trim().to_ascii_lowercase().as_str() {
            "useinbandfec" => parameters.refuses_fec = value == "0",
            "usedtx" => parameters.dtx = value == "1",
            "maxaveragebitrate" => parameters.max_average_bitrate = value.parse().ok(),
            "maxplaybackrate" => parameters.max_playback_rate = value.parse().ok(),
            _ => {}
        }
    }
    parameters
}

/// What follows the number in `a=name:number value`.
fn value_for<'a>(media: &'a Media, name: &str, payload_type: u8) -> Option<&'a str> {
    media
        .attributes
        .iter()
        .filter(|attribute| attribute.attribute == name)
        .filter_map(|attribute| attribute.value.as_deref()?.split_once(' '))
        .find(|(number, _)| number.parse() == Ok(payload_type))
        .map(|(_, value)| value.trim())
}
