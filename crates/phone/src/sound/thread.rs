//! The 20 ms tick.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use rollcall_audio::{AudioChoice, Processor};
use rollcall_media::FRAME;
use rollcall_media::muted::MutedSpeech;
use rollcall_media::sdp::Negotiated;
use rollcall_media::session::SessionEvent;
use rollcall_media::tone::{Region, Tone, ToneGenerator};
use rollcall_sip::CallId;
use tokio::sync::mpsc;

use super::clock::MediaClock;
use super::devices::Devices;
use super::line::Line;
use super::meter::Meter;
use super::mix::without_own;
use super::{Cue, Pulse, SoundCommand, SoundReport};
use crate::ports::MediaSockets;
use crate::{CallRef, RtpRefusals};

/// Everything the media thread owns.
pub(super) struct Thread {
    devices: Devices,
    pulse: Arc<Pulse>,
    reports: mpsc::UnboundedSender<SoundReport>,
    lines: HashMap<CallId, Line>,
    tone: Option<(Cue, ToneGenerator)>,
    /// Cleans what calls capture; none where nothing is to be done to it.
    processor: Option<Box<dyn Processor>>,
    muted: bool,
    muted_speech: MutedSpeech,
    /// None where nobody looks at it.
    meter: Option<Meter>,
    /// The calls hear each other.
    joined: bool,
    /// What the calls that are over refused.
    refused: RtpRefusals,
    clock: MediaClock,
    /// The sum of what all calls say.
    heard: Vec<f32>,
    mixed: Vec<f32>,
    /// Our own tone.
    toned: Vec<f32>,
    spoken: Vec<f32>,
    /// What one of several joined calls hears.
    shared: Vec<f32>,
}

impl Thread {
    pub(super) fn new(
        choice: AudioChoice,
        pulse: Arc<Pulse>,
        reports: mpsc::UnboundedSender<SoundReport>,
        levels: bool,
    ) -> Self {
        Self {
            devices: Devices::new(choice),
            pulse,
            reports,
            lines: HashMap::new(),
            tone: None,
            processor: None,
            muted: false,
            muted_speech: MutedSpeech::default(),
            meter: levels.then(Meter::default),
            joined: false,
            refused: RtpRefusals::default(),
            clock: MediaClock::new(Instant::now()),
            heard: vec![0.0; FRAME],
            mixed: vec![0.0; FRAME],
            toned: vec![0.0; FRAME],
            spoken: vec![0.0; FRAME],
            shared: vec![0.0; FRAME],
        }
    }

    /// Runs until told to quit, or until nobody can tell any more.
    pub(super) async fn run(mut self, mut commands: mpsc::UnboundedReceiver<SoundCommand>) {
        loop {
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(self.clock.due().into()) => {
                    // What has come is read before it is needed.
                    tokio::task::yield_now().await;
                    self.tick(Instant::now());
                }
                command = commands.recv() => match command {
                    Some(SoundCommand::Quit) | None => return,
                    Some(command) => self.obey(command),
                },
            }
        }
    }

    fn obey(&mut self, command: SoundCommand) {
        match command {
            SoundCommand::Start {
                call,
                sockets,
                negotiated,
            } => self.start(call, sockets, negotiated),
            SoundCommand::Rebind { call, sockets } => {
                if let Some(Err(message)) =
                    self.lines.get_mut(&call).map(|line| line.rebind(sockets))
                {
                    self.tell(SoundReport::CallFailed { call, message });
                }
            }
            SoundCommand::Update { call, negotiated } => self.update(call, negotiated),
            SoundCommand::Stop { id, call } => self.stop(id, call),
            SoundCommand::Press { call, digits } => {
                if let Some(line) = self.lines.get(&call) {
                    line.session().press(&digits);
                }
            }
            SoundCommand::Tone(cue) => self.tone = cue.map(|cue| (cue, generator(cue))),
            SoundCommand::Mute(muted) => {
                self.muted = muted;
                self.muted_speech.reset();
            }
            SoundCommand::Join(joined) => self.joined = joined,
            SoundCommand::Choose(choice) => {
                self.devices.choose(choice);
                self.forget_room();
            }
            SoundCommand::Quit => {}
        }
    }

    fn start(&mut self, call: CallId, sockets: MediaSockets, negotiated: Negotiated) {
        match Line::open(sockets, negotiated, self.clock.clone(), self.pulse.clone()) {
            Ok(mut line) => {
                if self.lines.is_empty() {
                    self.forget_room();
                    // The first packet leaves now, not up to a tick later.
                    self.clock.begin(Instant::now());
                }
                line.devices.note(self.devices.in_use());
                self.lines.insert(call, line);
            }
            Err(message) => self.tell(SoundReport::CallFailed { call, message }),
        }
    }

    fn stop(&mut self, id: CallId, call: CallRef) {
        let Some(line) = self.lines.remove(&id) else {
            return;
        };
        let quality = Box::new(line.close(Instant::now()));
        self.refused += RtpRefusals::from(&line.session().counters());
        self.count_refusals();
        let devices = line.devices.clone();
        self.tell(SoundReport::Over {
            call,
            quality,
            devices,
        });
    }

    fn update(&mut self, call: CallId, negotiated: Negotiated) {
        let Some(line) = self.lines.get(&call) else {
            return;
        };
        if let Err(error) = line.session().update(negotiated) {
            self.tell(SoundReport::CallFailed {
                call,
                message: error.to_string(),
            });
        }
    }

    fn tick(&mut self, now: Instant) {
        let due = self.clock.turn(now);
        self.pulse.turn(now);
        self.look_after_devices(now);
        // WAV files and loopback hold a call's sound and nothing else; devices are always kept moving, so that
        // no old sound waits in them when a call begins.
        if self.lines.is_empty() && !self.devices.are_real() {
            return;
        }
        self.hear(due);
        self.tell_events();
        self.devices.play(&self.mixed);
        self.devices.capture(&mut self.spoken);
        self.clean();
        self.measure();
        self.mute(now);
        self.speak(now);
        self.count_refusals();
    }

    fn look_after_devices(&mut self, now: Instant) {
        let mut news = Vec::new();
        let before = self.devices.in_use().clone();
        self.devices.poll(now, &mut |report| news.push(report));
        let in_use = self.devices.in_use();
        if *in_use != before {
            for line in self.lines.values_mut() {
                line.devices.note(in_use);
            }
            self.forget_room();
        }
        self.pulse
            .microphone_ok
            .store(self.devices.microphone_ok(), Ordering::Relaxed);
        self.pulse
            .speaker_ok
            .store(self.devices.speaker_ok(), Ordering::Relaxed);
        // Last: who hears that a device is there looks at the pulse next, and OPTIONS is answered by what it says.
        for report in news {
            self.tell(report);
        }
    }

    /// Mixes what all calls and our own tone sound like when it is `due`.
    fn hear(&mut self, due: Instant) {
        self.mixed.fill(0.0);
        self.play_tone();
        self.heard.fill(0.0);
        for line in self.lines.values_mut() {
            line.play(due);
            for (sum, heard) in self.heard.iter_mut().zip(&line.heard) {
                *sum += heard;
            }
        }
        for (mixed, heard) in self.mixed.iter_mut().zip(&self.heard) {
            *mixed = (*mixed + heard).clamp(-1.0, 1.0);
        }
    }

    /// A call that comes in rings at the device for that, all else is heard with the calls.
    fn play_tone(&mut self) {
        self.toned.fill(0.0);
        let tone = self.tone.as_mut().filter(|_| self.devices.are_real());
        let rings = match tone {
            Some((cue, tone)) => {
                tone.fill(&mut self.toned);
                *cue == Cue::Ringing
            }
            None => true,
        };
        if rings && self.devices.ring(&self.toned) {
            return;
        }
        self.mixed.copy_from_slice(&self.toned);
    }

    /// Takes echo, noise and rumble out of what was captured.
    fn clean(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        if let Some(processor) = &mut self.processor {
            processor.played(&self.mixed);
            processor.process(&mut self.spoken, self.devices.delay());
        }
    }

    /// What was learnt of the room holds no longer: it is another device, or long ago.
    fn forget_room(&mut self) {
        self.processor = self.devices.processing().processor();
    }

    /// Tells how loud it is: of a muted microphone too, so that somebody sees that it works.
    fn measure(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        let meter = self.meter.as_mut();
        if let Some(levels) = meter.and_then(|meter| meter.hear(&self.spoken, &self.mixed)) {
            self.tell(SoundReport::Levels(levels));
        }
    }

    /// What is muted is silence before anything else is done with it; in joined calls the others still hear each other.
    fn mute(&mut self, now: Instant) {
        if !self.muted {
            return;
        }
        if !self.lines.is_empty() && self.muted_speech.hear(now, &self.spoken) {
            self.tell(SoundReport::SpeakingMuted);
        }
        self.spoken.fill(0.0);
    }

    /// Passes on what the sessions noticed since the last turn.
    fn tell_events(&self) {
        for (call, line) in &self.lines {
            while let Some(event) = line.session().poll_event() {
                match event {
                    SessionEvent::Digit(digit) => {
                        self.tell(SoundReport::Digit { call: *call, digit });
                    }
                }
            }
        }
    }

    fn speak(&mut self, now: Instant) {
        let joined = self.joined && self.lines.len() > 1;
        for line in self.lines.values() {
            if joined {
                without_own(&self.spoken, &self.heard, &line.heard, &mut self.shared);
                line.send(now, &self.shared);
            } else {
                line.send(now, &self.spoken);
            }
        }
    }

    fn count_refusals(&self) {
        let mut all = self.refused;
        for line in self.lines.values() {
            all += RtpRefusals::from(&line.session().counters());
        }
        self.pulse.set_rtp_refusals(all);
    }

    fn tell(&self, report: SoundReport) {
        let _ = self.reports.send(report);
    }
}

/// How long a tone plays that tells of the end of a call, in milliseconds.
const LAST_TONE: u32 = 3_000;

fn generator(cue: Cue) -> ToneGenerator {
    let region = Region::default();
    match cue {
        Cue::Ringing => ToneGenerator::new(Tone::ringing()),
        Cue::Waiting => ToneGenerator::new(Tone::call_waiting(region)),
        Cue::RingBack => ToneGenerator::new(Tone::ring_back(region)),
        Cue::Busy => ToneGenerator::new(Tone::busy(region)).lasting(LAST_TONE),
        Cue::Congestion => ToneGenerator::new(Tone::congestion(region)).lasting(LAST_TONE),
    }
}
