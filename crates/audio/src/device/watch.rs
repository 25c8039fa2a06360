//! Whether an open device is still the one that was opened.
//!
//! A sound server that loses a device says nothing to the stream and moves it to another one, be it the
//! monitor of the loudspeaker: the callers would hear themselves. So it is asked, once a second.
//! Without a sound server the stream itself tells its end, and nobody is asked.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use cpal::traits::{DeviceTrait, HostTrait};
use cpal::{Device, DeviceId};

use super::{default_device, is_served};
use crate::{AudioError, Side};

/// How often the sound server is asked.
const EVERY: Duration = Duration::from_secs(1);

/// Asks until it is dropped, or until there is something to report.
#[derive(Debug)]
pub(super) struct Watch {
    _end: Sender<()>,
}

impl Watch {
    /// Watch over `device`; `follows_default` when nobody chose it by name. `None` where there is nobody
    /// to ask.
    pub(super) fn start(
        side: Side,
        device: &Device,
        follows_default: bool,
        report: Sender<AudioError>,
    ) -> Option<Watch> {
        let opened = device.id().ok().filter(|_| is_served(device))?;
        let (end, ended) = channel();
        let ask = move || {
            // A connection of its own: the stream's may be busy with sound.
            let host = cpal::default_host();
            while ended.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                // Without an answer the stream is about to tell its own end.
                let Ok(devices) = host.devices() else { return };
                let present: Vec<DeviceId> = devices.filter_map(|it| it.id().ok()).collect();
                let default = default_device(&host, side).and_then(|it| it.id().ok());
                let default = default.filter(|_| follows_default);
                if let Some(problem) = judge(side, &opened, &present, default.as_ref()) {
                    let _ = report.send(problem);
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("audio-watch".to_owned());
        // Without a thread nobody watches; the stream works all the same.
        thread.spawn(ask).ok()?;
        Some(Watch { _end: end })
    }
}

/// What is wrong with the device that was opened; `default` is the one to follow, if any.
fn judge(
    side: Side,
    opened: &DeviceId,
    present: &[DeviceId],
    default: Option<&DeviceId>,
) -> Option<AudioError> {
    if !present.contains(opened) {
        Some(AudioError::Vanished(side))
    } else if default.is_some_and(|default| default != opened) {
        Some(AudioError::Replaced(side))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> DeviceId {
        DeviceId::new(cpal::ALL_HOSTS[0], name)
    }

    #[test]
    fn a_device_that_is_listed_no_more_has_vanished() {
        let said = |present: &[DeviceId]| judge(Side::Microphone, &id("headset"), present, None);
        assert_eq!(said(&[id("headset"), id("webcam")]), None);
        let vanished = AudioError::Vanished(Side::Microphone);
        assert_eq!(said(&[id("webcam")]), Some(vanished));
    }

    #[test]
    fn a_default_that_changes_is_followed_only_by_those_who_use_the_default() {
        let present = [id("headset"), id("webcam")];
        let [headset, webcam] = &present;
        let said = |default| judge(Side::Speaker, headset, &present, default);
        assert_eq!(said(None), None);
        assert_eq!(said(Some(headset)), None);
        let replaced = AudioError::Replaced(Side::Speaker);
        assert_eq!(said(Some(webcam)), Some(replaced));
    }
}
