//! Devices that change while a call goes on: what we send never pauses, and sound is back when a device is.

use std::time::Duration;

use rollcall_e2e::Pulse;
use rollcall_e2e::line::{Line, tone};
use rollcall_e2e::sound::folder;

/// A busy machine may let a tick wait; a phone that waits for a device stops for longer.
const NO_PAUSE: Duration = Duration::from_secs(1);
/// So many packets may be missed in all, or one of ten: a busy machine skips some, and whoever waits for each device more.
const SOME: usize = 50;

const AS_IT_IS: &str = "devices:processing=off";

#[tokio::test]
async fn microphone_and_loudspeaker_may_be_pulled_out_and_put_back_during_a_call() {
    let (mut pulse, folder) = (Pulse::start().await, folder());
    let voice = tone(&folder);
    let mut line = Line::through(&pulse, AS_IT_IS).await;
    let speaking = pulse.speak(&voice.spoken);
    line.sends(true).await;

    pulse.unplug_microphone().await;
    line.sends(false).await;
    pulse.plug_microphone_in().await;
    line.sends(true).await;
    drop(speaking);

    pulse.unplug_speaker().await;
    line.misses_its_speaker("spk").await;
    pulse.plug_speaker_in().await;
    line.works(true, true).await;
    never_paused(&mut line);
}

#[tokio::test]
async fn a_changed_default_is_followed_during_a_call() {
    let (mut pulse, folder) = (Pulse::start().await, folder());
    let voice = tone(&folder);
    let mut line = Line::through(&pulse, AS_IT_IS).await;
    line.sends(false).await;

    pulse.plug_headset_in().await;
    pulse.prefer_headset(true).await;
    line.uses("headmic", "headset").await;
    let speaking = pulse.speak_into_headset(&voice.spoken);
    line.sends(true).await;
    drop(speaking);

    pulse.prefer_headset(false).await;
    line.uses("mic", "spk").await;
    let _speaking = pulse.speak(&voice.spoken);
    line.sends(true).await;
    never_paused(&mut line);
}

#[tokio::test]
async fn a_chosen_headset_that_is_pulled_out_is_stood_in_for_and_taken_up_again() {
    let (mut pulse, folder) = (Pulse::start().await, folder());
    let voice = tone(&folder);
    let mut line = Line::through(&pulse, AS_IT_IS).await;
    pulse.plug_headset_in().await;
    let chosen = "microphone=pulseaudio:headmic;speaker=pulseaudio:headset";
    line.phone.tell(&format!("audio {AS_IT_IS};{chosen}"));
    line.uses("headmic", "headset").await;
    let speaking = pulse.speak_into_headset(&voice.spoken);
    line.sends(true).await;
    drop(speaking);

    pulse.unplug_headset().await;
    line.uses("mic", "spk").await;
    let speaking = pulse.speak(&voice.spoken);
    line.sends(true).await;
    drop(speaking);

    pulse.plug_headset_in().await;
    line.uses("headmic", "headset").await;
    let _speaking = pulse.speak_into_headset(&voice.spoken);
    line.sends(true).await;
    never_paused(&mut line);
}

#[tokio::test]
async fn without_any_default_device_the_call_goes_on_and_the_first_one_is_taken_up() {
    let (mut pulse, folder) = (Pulse::start().await, folder());
    let voice = tone(&folder);
    let mut line = Line::through(&pulse, AS_IT_IS).await;
    line.sends(false).await;

    pulse.unplug_everything().await;
    line.has_no_device().await;
    line.sends(false).await;
    pulse.plug_everything_in().await;
    line.works(true, true).await;
    let _speaking = pulse.speak(&voice.spoken);
    line.sends(true).await;
    never_paused(&mut line);
}

fn never_paused(line: &mut Line) {
    let (longest, packets) = line.longest_gap();
    println!("{packets} packets, the longest time between two {longest:?}");
    assert!(longest < NO_PAUSE, "{longest:?} without a packet");
    let missed = line.missed_without_a_hole();
    assert!(missed <= SOME.max(packets / 10), "{missed} were not sent");
    assert_eq!(line.phone.count("ended"), 0);
}
