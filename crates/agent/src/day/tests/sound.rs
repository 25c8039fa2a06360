//! What is said of the sound devices.

use super::*;

fn ready(microphone: bool, speaker: bool) -> PhoneEvent {
    PhoneEvent::AudioReady {
        microphone,
        speaker,
    }
}

#[test]
fn a_device_that_fails_is_said_in_its_own_words_until_sound_is_back() {
    let (mut bench, _) = Bench::talking();
    bench.phone(ready(false, true));
    bench.phone(PhoneEvent::AudioProblem {
        code: "device_busy",
        message: "the microphone is in use by another program".to_owned(),
    });
    let state = bench.day.state();
    assert_eq!(state.calls[0].state, CallState::Active, "the call goes on");
    let notice = &state.notices[0].error;
    assert_eq!(notice.code, "device_busy");
    assert!(
        notice.message.contains("microphone is in use"),
        "{notice:?}"
    );
    let next = notice.next.as_deref().unwrap_or_default();
    assert!(next.contains("Close the program"), "{notice:?}");
    bench.phone(ready(true, true));
    assert!(codes(&bench).is_empty());
}

#[test]
fn a_phone_without_any_sound_says_so() {
    let mut bench = Bench::signed_in();
    bench.phone(PhoneEvent::AudioProblem {
        code: "no_audio_device",
        message: "this computer has no microphone and no loudspeaker".to_owned(),
    });
    assert_eq!(codes(&bench), ["no_audio_device"]);
}
