use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use rollcall_audio::{AudioStream, Counters, DeviceChoice};
use tokio::sync::oneshot;

use super::part::{Opened, SETTLED};
use super::*;

/// The other end of a stream: what a device does, and what it was given.
#[derive(Debug, Default)]
struct Hardware {
    /// Its callback comes.
    beats: bool,
    problem: Option<AudioError>,
    played: usize,
}

#[derive(Debug)]
struct Fake(Arc<Mutex<Hardware>>, &'static str);

impl AudioStream for Fake {
    fn play(&mut self, samples: &[f32]) {
        self.0.lock().unwrap().played += samples.len();
    }

    fn capture(&mut self, samples: &mut [f32]) {
        samples.fill(0.5);
    }

    fn poll_problem(&mut self) -> Option<AudioError> {
        self.0.lock().unwrap().problem.take()
    }

    fn microphone_ok(&self) -> bool {
        self.0.lock().unwrap().beats
    }

    fn speaker_ok(&self) -> bool {
        self.0.lock().unwrap().beats
    }

    fn counters(&self) -> Counters {
        Counters::default()
    }

    fn device(&self, _: Side) -> Option<&str> {
        Some(self.1)
    }
}

type Openings = Rc<RefCell<Vec<(Wanted, oneshot::Sender<Opened>)>>>;

/// Devices whose openings wait for the test's word, on a clock of the test's own.
struct Bench {
    devices: Devices,
    openings: Openings,
    now: Instant,
    told: Vec<(bool, bool, Option<&'static str>)>,
    in_use: Vec<InUse>,
}

impl Bench {
    fn of_devices() -> Self {
        Self::of(DeviceChoice::default())
    }

    fn of(choice: DeviceChoice) -> Self {
        let openings = Openings::default();
        let asked = openings.clone();
        let opener: Opener = Box::new(move |wanted| {
            let (sender, receiver) = oneshot::channel();
            asked.borrow_mut().push((wanted.clone(), sender));
            receiver
        });
        Self {
            devices: Devices::opened_by(opener, AudioChoice::Devices(choice)),
            openings,
            now: Instant::now(),
            told: Vec::new(),
            in_use: Vec::new(),
        }
    }

    /// Both sides open and work.
    fn working() -> (Self, Arc<Mutex<Hardware>>, Arc<Mutex<Hardware>>) {
        let mut bench = Self::of_devices();
        let (microphone, speaker) = (bench.opens(Side::Microphone), bench.opens(Side::Speaker));
        assert_eq!(bench.told(), [(true, true, None)]);
        (bench, microphone, speaker)
    }

    /// The side that is being opened opens, and its callback comes.
    fn opens(&mut self, side: Side) -> Arc<Mutex<Hardware>> {
        self.opens_as(side, "own")
    }

    /// The same with a name.
    fn opens_as(&mut self, side: Side, name: &'static str) -> Arc<Mutex<Hardware>> {
        let hardware = Arc::new(Mutex::new(Hardware {
            beats: true,
            ..Hardware::default()
        }));
        self.answer(side, Ok(Box::new(Fake(hardware.clone(), name))));
        hardware
    }

    /// The device that rings opens.
    fn ringer_opens(&mut self) -> Arc<Mutex<Hardware>> {
        let hardware = Arc::new(Mutex::new(Hardware {
            beats: true,
            ..Hardware::default()
        }));
        let stream = Fake(hardware.clone(), "desk");
        self.answer_where(Wanted::is_ringer, Ok(Box::new(stream)));
        hardware
    }

    fn refuses(&mut self, side: Side, error: AudioError) {
        self.answer(side, Err(error));
    }

    fn answer(&mut self, side: Side, opened: Opened) {
        self.answer_where(|wanted| wanted.serves(side), opened);
    }

    fn answer_where(&mut self, is_meant: impl Fn(&Wanted) -> bool, opened: Opened) {
        let at = self
            .openings
            .borrow()
            .iter()
            .position(|(wanted, _)| is_meant(wanted))
            .unwrap_or_else(|| panic!("nobody opens it"));
        let (_, opening) = self.openings.borrow_mut().remove(at);
        opening.send(opened).unwrap();
        // Two looks: one takes the stream in, one sees that it works.
        self.pass(Duration::ZERO);
        self.pass(Duration::ZERO);
    }

    /// Time goes on; what changed is told.
    fn pass(&mut self, time: Duration) {
        self.now += time;
        let (told, in_use) = (&mut self.told, &mut self.in_use);
        self.devices.poll(self.now, &mut |report| match report {
            SoundReport::Devices {
                microphone,
                speaker,
                problem,
            } => told.push((microphone, speaker, problem.map(|problem| problem.code()))),
            SoundReport::InUse(now) => in_use.push(now),
            other => panic!("{other:?}"),
        });
    }

    fn told(&mut self) -> Vec<(bool, bool, Option<&'static str>)> {
        std::mem::take(&mut self.told)
    }

    fn is_opening(&self, side: Side) -> bool {
        let openings = self.openings.borrow();
        openings.iter().any(|(wanted, _)| wanted.serves(side))
    }

    /// How long it takes until a side is opened again.
    fn wait_for_opening(&mut self, side: Side) -> Duration {
        let begin = self.now;
        while !self.is_opening(side) {
            self.pass(Duration::from_millis(20));
            assert!(self.now - begin < Duration::from_secs(60), "never opened");
        }
        self.now - begin
    }
}

fn missing(side: Side) -> AudioError {
    AudioError::NoDevice {
        microphone: side == Side::Microphone,
        speaker: side == Side::Speaker,
    }
}

#[test]
fn sound_is_ready_when_samples_flow_and_not_when_a_device_has_opened() {
    let mut bench = Bench::of_devices();
    let microphone = Arc::new(Mutex::new(Hardware::default()));
    bench.answer(
        Side::Microphone,
        Ok(Box::new(Fake(microphone.clone(), "own"))),
    );
    bench.opens(Side::Speaker);
    assert!(bench.told().is_empty());
    microphone.lock().unwrap().beats = true;
    bench.pass(Duration::from_millis(300));
    assert_eq!(bench.told(), [(true, true, None)]);
}

#[test]
fn a_computer_without_sound_says_so_once_and_looks_again_ever_less_often() {
    let mut bench = Bench::of_devices();
    let mut waits = Vec::new();
    for _ in 0..7 {
        for side in [Side::Microphone, Side::Speaker] {
            bench.refuses(side, missing(side));
        }
        waits.push(bench.wait_for_opening(Side::Microphone).as_millis());
        bench.wait_for_opening(Side::Speaker);
    }
    assert_eq!(bench.told(), [(false, false, Some("no_audio_device"))]);
    assert_eq!(waits, [500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000]);
}

#[test]
fn a_vanished_microphone_is_told_mended_and_told_again_while_the_loudspeaker_plays_on() {
    let (mut bench, microphone, speaker) = Bench::working();
    microphone.lock().unwrap().problem = Some(AudioError::Vanished(Side::Microphone));
    bench.pass(Duration::from_millis(20));
    assert_eq!(bench.told(), [(false, true, Some("device_vanished"))]);

    let mut frame = [1.0; 4];
    bench.devices.capture(&mut frame);
    assert_eq!(frame, [0.0; 4], "silence in its place");
    bench.devices.play(&frame);
    assert_eq!(speaker.lock().unwrap().played, 4);

    bench.wait_for_opening(Side::Microphone);
    assert!(!bench.is_opening(Side::Speaker), "it was never touched");
    bench.opens(Side::Microphone);
    assert_eq!(bench.told(), [(true, true, None)]);
    bench.devices.capture(&mut frame);
    assert_eq!(frame, [0.5; 4]);
}

#[test]
fn a_device_that_stays_away_is_named_by_what_is_known_now() {
    let (mut bench, microphone, _) = Bench::working();
    microphone.lock().unwrap().problem = Some(AudioError::Vanished(Side::Microphone));
    bench.pass(Duration::from_millis(20));
    bench.wait_for_opening(Side::Microphone);
    bench.refuses(Side::Microphone, missing(Side::Microphone));
    bench.wait_for_opening(Side::Microphone);
    bench.refuses(Side::Microphone, AudioError::Busy(Side::Microphone));
    let codes: Vec<_> = bench.told().into_iter().map(|(_, _, code)| code).collect();
    let expected = ["device_vanished", "no_audio_device", "device_busy"];
    assert_eq!(codes, expected.map(Some));
}

#[test]
fn a_device_that_fails_again_and_again_is_opened_ever_less_often_until_it_has_settled() {
    let (mut bench, mut microphone, _) = Bench::working();
    let mut waits = Vec::new();
    for settles in [false, false, true, false] {
        if settles {
            bench.pass(SETTLED);
        }
        microphone.lock().unwrap().problem = Some(AudioError::Vanished(Side::Microphone));
        bench.pass(Duration::ZERO);
        waits.push(bench.wait_for_opening(Side::Microphone).as_millis());
        microphone = bench.opens(Side::Microphone);
    }
    assert_eq!(waits, [500, 1_000, 500, 1_000]);
}

#[test]
fn another_choice_replaces_all_that_was_open() {
    let (mut bench, ..) = Bench::working();
    bench.devices.choose(AudioChoice::Loopback);
    assert!(!bench.devices.are_real() && !bench.devices.microphone_ok());
    bench.opens(Side::Speaker);
    assert_eq!(bench.told(), [(true, true, None)]);
    assert!(
        bench.openings.borrow().is_empty(),
        "one stream is both sides"
    );
}

#[test]
fn an_opening_that_is_lost_counts_as_a_failure() {
    let mut bench = Bench::of_devices();
    bench.opens(Side::Speaker);
    bench.openings.borrow_mut().clear();
    bench.pass(Duration::ZERO);
    assert_eq!(bench.told(), [(false, true, Some("device_failed"))]);
}

#[test]
fn a_default_that_changes_is_followed_without_a_gap() {
    let (mut bench, microphone, speaker) = Bench::working();
    speaker.lock().unwrap().problem = Some(AudioError::Replaced(Side::Speaker));
    bench.pass(Duration::from_millis(20));
    assert!(bench.is_opening(Side::Speaker), "at once");
    bench.devices.play(&[0.0; 4]);
    assert_eq!(speaker.lock().unwrap().played, 4, "the old one plays on");
    let next = bench.opens_as(Side::Speaker, "next");
    bench.devices.play(&[0.0; 4]);
    assert_eq!(speaker.lock().unwrap().played, 4);
    assert_eq!(next.lock().unwrap().played, 4);
    assert_eq!(bench.told(), [], "nothing ever failed");
    let last = bench.in_use.last().unwrap();
    assert_eq!(last.speaker.as_deref(), Some("next"));
    assert!(microphone.lock().unwrap().beats);
}

/// A headset by name, and the system's loudspeaker.
fn headset() -> Bench {
    let mut bench = Bench::of(DeviceChoice {
        microphone: Some("headset".to_owned()),
        ..DeviceChoice::default()
    });
    bench.opens_as(Side::Speaker, "desk");
    bench
}

#[test]
fn a_chosen_device_that_goes_is_stood_in_for_at_once_and_taken_up_again_when_it_is_back() {
    let mut bench = headset();
    let chosen = bench.opens_as(Side::Microphone, "headset");
    assert_eq!(bench.told(), [(true, true, None)]);
    chosen.lock().unwrap().problem = Some(AudioError::Vanished(Side::Microphone));
    bench.pass(Duration::from_millis(20));
    assert_eq!(bench.told(), [(false, true, Some("device_vanished"))]);
    assert!(bench.is_opening(Side::Microphone), "at once");
    bench.opens_as(Side::Microphone, "webcam");
    assert_eq!(bench.told(), [(true, true, None)]);
    let last = bench.in_use.last().unwrap().clone();
    assert_eq!(last.microphone.as_deref(), Some("webcam"));
    assert!(last.stands_in);

    for _ in 0..3 {
        bench.wait_for_opening(Side::Microphone);
        let away = AudioError::NotFound {
            side: Side::Microphone,
            name: "headset".to_owned(),
        };
        bench.refuses(Side::Microphone, away);
        assert!(bench.devices.microphone_ok(), "the other one goes on");
    }
    bench.wait_for_opening(Side::Microphone);
    bench.opens_as(Side::Microphone, "headset");
    let last = bench.in_use.last().unwrap();
    assert_eq!(last.microphone.as_deref(), Some("headset"));
    assert!(!last.stands_in);
    assert_eq!(bench.told(), [], "sound never stopped");
}

#[test]
fn a_chosen_device_that_is_not_there_at_first_is_stood_in_for() {
    let mut bench = headset();
    let away = AudioError::NotFound {
        side: Side::Microphone,
        name: "headset".to_owned(),
    };
    bench.refuses(Side::Microphone, away);
    assert_eq!(bench.told(), [(false, true, Some("no_audio_device"))]);
    bench.opens_as(Side::Microphone, "webcam");
    assert_eq!(bench.told(), [(true, true, None)]);
}

#[test]
fn without_a_stand_in_the_chosen_device_is_looked_for_ever_less_often() {
    let mut bench = headset();
    let mut waits = Vec::new();
    for _ in 0..4 {
        // The chosen one, then the default.
        bench.refuses(Side::Microphone, missing(Side::Microphone));
        bench.refuses(Side::Microphone, missing(Side::Microphone));
        waits.push(bench.wait_for_opening(Side::Microphone).as_millis());
    }
    assert!(waits.is_sorted() && waits[3] == 8_000, "{waits:?}");
}

#[test]
fn it_rings_at_the_ringer_and_at_the_loudspeaker_while_that_is_away() {
    let mut bench = Bench::of(DeviceChoice {
        ringer: Some("desk".to_owned()),
        ..DeviceChoice::default()
    });
    let speaker = bench.opens(Side::Speaker);
    bench.opens(Side::Microphone);
    assert!(!bench.devices.ring(&[0.0; 4]), "it is not open yet");
    let desk = bench.ringer_opens();
    assert!(bench.devices.ring(&[0.0; 4]));
    bench.devices.play(&[0.0; 8]);
    assert_eq!(desk.lock().unwrap().played, 4, "calls are not heard there");
    assert_eq!(speaker.lock().unwrap().played, 8);
    desk.lock().unwrap().problem = Some(AudioError::Vanished(Side::Speaker));
    bench.pass(Duration::from_millis(20));
    assert!(!bench.devices.ring(&[0.0; 4]));
    assert_eq!(
        bench.told().last(),
        Some(&(true, true, Some("device_vanished")))
    );
}
