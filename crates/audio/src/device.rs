//! The computer's sound devices: the one door to the `cpal` crate.

mod watch;

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

pub(crate) use cpal::I24;
use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{BufferSize, Device, ErrorKind, Host, SampleFormat, SizedSample, Stream};
use cpal::{StreamConfig, SupportedStreamConfig, SupportedStreamConfigRange};

use crate::callback::{CaptureCallback, PlaybackCallback};
use crate::convert::DeviceSample;
use crate::drift::Drift;
use crate::duplex::{CAPTURE_NEEDED, PLAYBACK_NEEDED};
use crate::duplex::{DuplexStream, Microphone, Pulse, RingSink, RingSource, Sink, Source, Speaker};
use crate::rate::RateConverter;
use crate::{AudioError, DeviceName, SAMPLE_RATE, Side};
use watch::Watch;

/// How long the sound system may take to answer at all.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long one device may take to open.
const OPENING: Duration = Duration::from_secs(3);

/// Open the named devices, or the system's default ones.
pub(crate) fn open(
    input: Option<String>,
    output: Option<String>,
) -> Result<DuplexStream, AudioError> {
    bounded(Side::Speaker, move || {
        let host = cpal::default_host();
        let (report, problems) = channel();
        let microphone = open_microphone(&host, input.as_deref(), report.clone());
        let speaker = open_speaker(&host, output.as_deref(), report);
        let mut found = Vec::new();
        let mut keep = |error: AudioError| found.push(error);
        let (microphone, speaker) = match (microphone, speaker) {
            (Err(microphone), Err(speaker)) => {
                return Err(AudioError::of_both(microphone, speaker));
            }
            (microphone, speaker) => (
                microphone.map_err(&mut keep).ok(),
                speaker.map_err(&mut keep).ok(),
            ),
        };
        Ok(DuplexStream {
            microphone,
            speaker,
            problems,
            found,
        })
    })
}

/// Open one side only, by a device's name or the system's default.
pub(crate) fn open_side(side: Side, name: Option<String>) -> Result<DuplexStream, AudioError> {
    bounded(side, move || {
        let host = cpal::default_host();
        let (report, problems) = channel();
        let (microphone, speaker) = match side {
            Side::Microphone => (Some(open_microphone(&host, name.as_deref(), report)?), None),
            Side::Speaker => (None, Some(open_speaker(&host, name.as_deref(), report)?)),
        };
        Ok(DuplexStream {
            microphone,
            speaker,
            problems,
            found: Vec::new(),
        })
    })
}

/// All devices by name.
pub(crate) fn list() -> Result<Vec<DeviceName>, AudioError> {
    bounded(Side::Speaker, || {
        let host = cpal::default_host();
        let devices = host.devices().map_err(|e| failed(Side::Speaker, &e))?;
        let id = |device: Option<Device>| device.and_then(|device| device.id().ok());
        let default_input = id(default_device(&host, Side::Microphone));
        let default_output = id(default_device(&host, Side::Speaker));
        let mut names = Vec::new();
        for device in devices {
            let id = device.id().ok();
            let mut add = |side, default| {
                names.push(DeviceName {
                    id: id
                        .as_ref()
                        .map_or_else(|| device.to_string(), ToString::to_string),
                    name: device.to_string(),
                    side,
                    default,
                });
            };
            if device.supports_input() {
                add(Side::Microphone, id.is_some() && id == default_input);
            }
            if device.supports_output() {
                add(Side::Speaker, id.is_some() && id == default_output);
            }
        }
        Ok(names)
    })
}

/// Run on a thread of its own: a sound system that hangs must not hang the caller.
fn bounded<T: Send + 'static>(
    side: Side,
    work: impl FnOnce() -> Result<T, AudioError> + Send + 'static,
) -> Result<T, AudioError> {
    let (done, result) = channel();
    let unavailable = |reason: String| AudioError::Device { side, reason };
    thread::Builder::new()
        .name("audio-open".to_owned())
        .spawn(move || {
            let _ = done.send(work());
        })
        .map_err(|error| unavailable(error.to_string()))?;
    match result.recv_timeout(PATIENCE) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => {
            let seconds = PATIENCE.as_secs();
            Err(unavailable(format!(
                "the sound system has not answered for {seconds} seconds"
            )))
        }
        Err(RecvTimeoutError::Disconnected) => {
            Err(unavailable("the sound system failed while opening".into()))
        }
    }
}

fn open_microphone(
    host: &Host,
    name: Option<&str>,
    report: Sender<AudioError>,
) -> Result<Microphone, AudioError> {
    let side = Side::Microphone;
    let device = find(host, side, name)?;
    let wanted = configuration(side, &device)?;
    let opened = match wanted.sample_format() {
        SampleFormat::F32 => capture::<f32>(&device, &wanted, report.clone()),
        SampleFormat::I16 => capture::<i16>(&device, &wanted, report.clone()),
        SampleFormat::I32 => capture::<i32>(&device, &wanted, report.clone()),
        SampleFormat::I24 => capture::<I24>(&device, &wanted, report.clone()),
        other => return Err(unsupported(side, other)),
    };
    let (stream, source, pulse) = opened?;
    stream.play().map_err(|error| failed(side, &error))?;
    let watch = Watch::start(side, &device, name.is_none(), report);
    Ok(Microphone {
        _device: Box::new((stream, watch)),
        name: device.to_string(),
        source,
        converter: RateConverter::new(wanted.sample_rate(), SAMPLE_RATE)?,
        drift: Drift::new(CAPTURE_NEEDED),
        pulse,
        raw: Vec::new(),
        ready: Vec::new(),
        underrun: 0,
        overrun: 0,
    })
}

fn open_speaker(
    host: &Host,
    name: Option<&str>,
    report: Sender<AudioError>,
) -> Result<Speaker, AudioError> {
    let side = Side::Speaker;
    let device = find(host, side, name)?;
    let wanted = configuration(side, &device)?;
    let opened = match wanted.sample_format() {
        SampleFormat::F32 => playback::<f32>(&device, &wanted, report.clone()),
        SampleFormat::I16 => playback::<i16>(&device, &wanted, report.clone()),
        SampleFormat::I32 => playback::<i32>(&device, &wanted, report.clone()),
        SampleFormat::I24 => playback::<I24>(&device, &wanted, report.clone()),
        other => return Err(unsupported(side, other)),
    };
    let (stream, sink, pulse) = opened?;
    stream.play().map_err(|error| failed(side, &error))?;
    let watch = Watch::start(side, &device, name.is_none(), report);
    Ok(Speaker {
        _device: Box::new((stream, watch)),
        name: device.to_string(),
        sink,
        converter: RateConverter::new(SAMPLE_RATE, wanted.sample_rate())?,
        rate: wanted.sample_rate(),
        drift: Drift::new(PLAYBACK_NEEDED),
        pulse,
        raw: Vec::new(),
        overrun: 0,
        missed: 0,
    })
}

fn find(host: &Host, side: Side, name: Option<&str>) -> Result<Device, AudioError> {
    let Some(wanted) = name else {
        return default_device(host, side).ok_or(no_device(side));
    };
    let serves = |device: &Device| match side {
        Side::Microphone => device.supports_input(),
        Side::Speaker => device.supports_output(),
    };
    let is_wanted = |device: &Device| {
        device.to_string() == wanted || device.id().is_ok_and(|id| id.to_string() == wanted)
    };
    let mut devices = host.devices().map_err(|error| failed(side, &error))?;
    devices
        .find(|device| is_wanted(device) && serves(device))
        .ok_or_else(|| AudioError::NotFound {
            side,
            name: wanted.to_owned(),
        })
}

/// The system's default. A sound server without a microphone offers what the loudspeaker plays in its
/// place: callers would hear themselves.
fn default_device(host: &Host, side: Side) -> Option<Device> {
    match side {
        Side::Microphone => host.default_input_device().filter(|it| !is_monitor(it)),
        Side::Speaker => host.default_output_device(),
    }
}

/// Whether the device captures what another one plays. PulseAudio and its kin name it so.
fn is_monitor(device: &Device) -> bool {
    is_served(device) && device.id().is_ok_and(|id| id.id().ends_with(".monitor"))
}

/// Whether a sound server stands between us and the device.
fn is_served(device: &Device) -> bool {
    let served = |host: String| host == "pulseaudio" || host == "pipewire";
    device.id().is_ok_and(|id| served(id.host().to_string()))
}

/// The device's own format, at 48 kHz where it can.
fn configuration(side: Side, device: &Device) -> Result<SupportedStreamConfig, AudioError> {
    let failed = |error: cpal::Error| failed(side, &error);
    let (default, ranges): (_, Vec<SupportedStreamConfigRange>) = match side {
        Side::Microphone => (
            device.default_input_config().map_err(failed)?,
            device.supported_input_configs().map_err(failed)?.collect(),
        ),
        Side::Speaker => (
            device.default_output_config().map_err(failed)?,
            device.supported_output_configs().map_err(failed)?.collect(),
        ),
    };
    let ours = |range: &SupportedStreamConfigRange| {
        matches!(
            range.sample_format(),
            SampleFormat::F32 | SampleFormat::I16 | SampleFormat::I32 | SampleFormat::I24
        )
    };
    let at_48_khz = |range: &SupportedStreamConfigRange| range.try_with_sample_rate(SAMPLE_RATE);
    let like_default = |range: &&SupportedStreamConfigRange| {
        range.channels() == default.channels() && range.sample_format() == default.sample_format()
    };
    let usable: Vec<SupportedStreamConfigRange> = ranges.into_iter().filter(ours).collect();
    let best = usable.iter().filter(like_default).find_map(at_48_khz);
    let next = || usable.iter().find_map(at_48_khz);
    let chosen = best.or_else(next).unwrap_or(default);
    tracing::debug!(
        %side,
        rate = chosen.sample_rate(),
        channels = chosen.channels(),
        format = %chosen.sample_format(),
        "opening a device"
    );
    Ok(chosen)
}

type Opened<Half> = (Stream, Half, Pulse);

fn capture<T: SizedSample + DeviceSample>(
    device: &Device,
    wanted: &SupportedStreamConfig,
    report: Sender<AudioError>,
) -> Result<Opened<Box<dyn Source>>, AudioError> {
    let side = Side::Microphone;
    let channels = usize::from(wanted.channels());
    with_small_buffer(side, wanted, |config| {
        let (mut callback, ring, tally) = CaptureCallback::<T>::new(channels, capacity(wanted));
        let noted = Arc::clone(&tally);
        let stream = device.build_input_stream(
            config,
            move |data: &[T], info: &cpal::InputCallbackInfo| {
                let time = info.timestamp();
                noted.note_latency(time.callback.saturating_duration_since(time.capture));
                callback.run(data);
            },
            reporter(side, report.clone()),
            Some(OPENING),
        )?;
        let source: Box<dyn Source> = Box::new(RingSource { ring, channels });
        Ok((stream, source, Pulse::new(tally)))
    })
}

fn playback<T: SizedSample + DeviceSample>(
    device: &Device,
    wanted: &SupportedStreamConfig,
    report: Sender<AudioError>,
) -> Result<Opened<Box<dyn Sink>>, AudioError> {
    let side = Side::Speaker;
    let channels = usize::from(wanted.channels());
    let capacity = capacity(wanted);
    with_small_buffer(side, wanted, |config| {
        let (mut callback, ring, tally) =
            PlaybackCallback::<T>::new(channels, capacity, T::SILENCE);
        let noted = Arc::clone(&tally);
        let stream = device.build_output_stream(
            config,
            move |data: &mut [T], info: &cpal::OutputCallbackInfo| {
                let time = info.timestamp();
                noted.note_latency(time.playback.saturating_duration_since(time.callback));
                callback.run(data);
            },
            reporter(side, report.clone()),
            Some(OPENING),
        )?;
        let sink: Box<dyn Sink> = Box::new(RingSink {
            ring,
            channels,
            capacity,
            converted: Vec::new(),
        });
        Ok((stream, sink, Pulse::new(tally)))
    })
}

/// Open with a fixed buffer of 10 ms, else of 20 and 40: never the host's own choice, which may be
/// seconds.
fn with_small_buffer<T>(
    side: Side,
    wanted: &SupportedStreamConfig,
    mut build: impl FnMut(StreamConfig) -> Result<T, cpal::Error>,
) -> Result<T, AudioError> {
    let mut refusal = None;
    for divisor in [100, 50, 25] {
        let mut config = wanted.config();
        config.buffer_size = BufferSize::Fixed((wanted.sample_rate() / divisor).max(1));
        match build(config) {
            Ok(opened) => return Ok(opened),
            Err(error) => {
                let other_size_may_do = matches!(
                    error.kind(),
                    ErrorKind::UnsupportedConfig | ErrorKind::InvalidInput
                );
                refusal = Some(failed(side, &error));
                if !other_size_may_do {
                    break;
                }
            }
        }
    }
    Err(refusal.unwrap_or_else(|| unsupported(side, wanted.sample_format())))
}

/// Frames in a ring: 200 ms.
fn capacity(wanted: &SupportedStreamConfig) -> usize {
    (wanted.sample_rate() / 5).max(1) as usize
}

/// What the device says later. Glitches are counted by the callbacks already.
fn reporter(side: Side, report: Sender<AudioError>) -> impl FnMut(cpal::Error) + Send + 'static {
    move |error| match error.kind() {
        ErrorKind::Xrun | ErrorKind::DeviceChanged | ErrorKind::RealtimeDenied => {}
        ErrorKind::StreamInvalidated
        | ErrorKind::DeviceNotAvailable
        | ErrorKind::HostUnavailable => {
            let _ = report.send(AudioError::Vanished(side));
        }
        _ => {
            let _ = report.send(failed(side, &error));
        }
    }
}

fn no_device(side: Side) -> AudioError {
    AudioError::NoDevice {
        microphone: side == Side::Microphone,
        speaker: side == Side::Speaker,
    }
}

fn failed(side: Side, error: &cpal::Error) -> AudioError {
    match error.kind() {
        ErrorKind::DeviceNotAvailable | ErrorKind::HostUnavailable => no_device(side),
        ErrorKind::DeviceBusy => AudioError::Busy(side),
        ErrorKind::PermissionDenied => AudioError::Denied(side),
        ErrorKind::UnsupportedConfig => AudioError::UnsupportedFormat {
            side,
            reason: error.to_string(),
        },
        _ => AudioError::Device {
            side,
            reason: error.to_string(),
        },
    }
}

fn unsupported(side: Side, format: SampleFormat) -> AudioError {
    AudioError::UnsupportedFormat {
        side,
        reason: format!("its samples are {format}"),
    }
}

impl DeviceSample for I24 {
    const SILENCE: I24 = <I24 as cpal::Sample>::EQUILIBRIUM;

    fn to_f32(self) -> f32 {
        self.inner() as f32 / 8_388_608.0
    }

    fn from_f32(sample: f32) -> I24 {
        let scaled = (sample * 8_388_608.0).clamp(-8_388_608.0, 8_388_607.0);
        // The cast makes 0 of NaN.
        I24::new(scaled as i32).unwrap_or(I24::SILENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_of_a_device_has_its_own_code_and_words() {
        let said = |kind: ErrorKind| failed(Side::Microphone, &cpal::Error::new(kind));
        let refusals = [
            (ErrorKind::DeviceNotAvailable, "no_audio_device"),
            (ErrorKind::HostUnavailable, "no_audio_device"),
            (ErrorKind::DeviceBusy, "device_busy"),
            (ErrorKind::PermissionDenied, "device_denied"),
            (ErrorKind::UnsupportedConfig, "unsupported_format"),
            (ErrorKind::ResourceExhausted, "device_failed"),
        ];
        for (kind, code) in refusals {
            let error = said(kind);
            assert_eq!(error.code(), code);
            assert!(error.to_string().contains("microphone"), "{error}");
        }
    }

    #[test]
    fn a_stream_that_ends_by_itself_has_vanished_and_a_glitch_is_nothing() {
        let (report, problems) = channel();
        let mut reporter = reporter(Side::Speaker, report);
        reporter(cpal::Error::new(ErrorKind::Xrun));
        assert!(problems.try_recv().is_err());
        for kind in [ErrorKind::StreamInvalidated, ErrorKind::DeviceNotAvailable] {
            reporter(cpal::Error::new(kind));
            assert_eq!(problems.recv(), Ok(AudioError::Vanished(Side::Speaker)));
        }
    }

    #[test]
    fn samples_of_a_kind_that_we_cannot_convert_are_named() {
        let error = unsupported(Side::Microphone, SampleFormat::U64);
        assert_eq!(error.code(), "unsupported_format");
        assert!(error.to_string().contains("u64"), "{error}");
    }
}
