//! The sound devices of an engine: opened beside the tick, looked for again when they fail.
//!
//! Microphone and loudspeaker stand apart: one that fails is mended while the other goes on.

mod part;

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use rollcall_audio::{AudioChoice, AudioError, Processing, Side};

use super::SoundReport;
use part::{Health, Opener, Part, Wanted};

/// All that was chosen.
pub(super) struct Devices {
    parts: Vec<Part>,
    opener: Opener,
    /// What the choice wants done to a real microphone's sound; `None` of what is no device.
    real: Option<Processing>,
    told: Option<Judgement>,
    in_use: InUse,
}

/// The devices that a call's sound comes from and goes to, as a person calls them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct InUse {
    /// The microphone.
    pub(crate) microphone: Option<String>,
    /// The loudspeaker.
    pub(crate) speaker: Option<String>,
    /// One of them is not the chosen one, which is away.
    pub(crate) stands_in: bool,
}

/// What works, and what is to be said of the rest.
#[derive(Debug, Clone, PartialEq)]
struct Judgement {
    microphone: bool,
    speaker: bool,
    problem: Option<AudioError>,
}

impl Devices {
    pub(super) fn new(choice: AudioChoice) -> Self {
        Self::opened_by(Box::new(part::open), choice)
    }

    fn opened_by(mut opener: Opener, choice: AudioChoice) -> Self {
        Self {
            real: processing(&choice),
            parts: parts(choice, &mut opener),
            opener,
            told: None,
            in_use: InUse::default(),
        }
    }

    pub(super) fn choose(&mut self, choice: AudioChoice) {
        self.real = processing(&choice);
        // What was open goes first: a device may let itself be opened only once.
        self.parts.clear();
        self.parts = parts(choice, &mut self.opener);
        self.told = None;
    }

    /// Whether the choice means real devices, which must be kept drained and may play tones.
    pub(super) fn are_real(&self) -> bool {
        self.real.is_some()
    }

    /// What is to be done to what was captured.
    pub(super) fn processing(&self) -> Processing {
        self.real.unwrap_or(Processing::OFF)
    }

    /// How long after it was handed over to be played sound comes back, were the microphone beside the loudspeaker.
    pub(super) fn delay(&self) -> Duration {
        let calls = self.parts.iter().filter(|part| !part.wanted.is_ringer());
        calls.map(Part::delay).sum()
    }

    /// What calls are heard and spoken through.
    pub(super) fn in_use(&self) -> &InUse {
        &self.in_use
    }

    pub(super) fn microphone_ok(&self) -> bool {
        self.serving(Side::Microphone)
            .any(|part| part.is_ok(Side::Microphone))
    }

    pub(super) fn speaker_ok(&self) -> bool {
        self.serving(Side::Speaker)
            .any(|part| part.is_ok(Side::Speaker))
    }

    pub(super) fn play(&mut self, samples: &[f32]) {
        for part in &mut self.parts {
            if part.wanted.serves(Side::Speaker)
                && let Some(stream) = part.stream()
            {
                stream.play(samples);
            }
        }
    }

    /// Plays where it is to ring. False when that is the loudspeaker: none was chosen, or it does not work.
    pub(super) fn ring(&mut self, samples: &[f32]) -> bool {
        let ringer = self.parts.iter_mut().find(|part| part.wanted.is_ringer());
        let Some(part) = ringer else {
            return false;
        };
        if let Some(stream) = part.stream() {
            stream.play(samples);
        }
        part.is_ok(Side::Speaker)
    }

    /// Fills `samples` with what was captured, silence while there is nothing to capture from.
    pub(super) fn capture(&mut self, samples: &mut [f32]) {
        samples.fill(0.0);
        for part in &mut self.parts {
            if part.wanted.serves(Side::Microphone)
                && let Some(stream) = part.stream()
            {
                stream.capture(samples);
            }
        }
    }

    /// Takes in what opened or failed meanwhile, and tells what changed by it.
    pub(super) fn poll(&mut self, now: Instant, tell: &mut impl FnMut(SoundReport)) {
        for part in &mut self.parts {
            part.poll(now, &mut self.opener);
        }
        let in_use = self.look_what_is_used();
        if in_use != self.in_use {
            self.in_use = in_use.clone();
            tell(SoundReport::InUse(in_use));
        }
        let Some(judgement) = self.judge() else {
            return;
        };
        if self.told.as_ref() != Some(&judgement) {
            tell(SoundReport::Devices {
                microphone: judgement.microphone,
                speaker: judgement.speaker,
                problem: judgement.problem.clone(),
            });
            self.told = Some(judgement);
        }
    }

    /// None while something is not known yet.
    fn judge(&self) -> Option<Judgement> {
        let mut calls = self.parts.iter().filter(|part| !part.wanted.is_ringer());
        if calls.any(|part| part.health == Health::Unknown) {
            return None;
        }
        let problems = self.parts.iter().filter_map(Part::problem).cloned();
        Some(Judgement {
            microphone: self
                .serving(Side::Microphone)
                .any(|it| it.works(Side::Microphone)),
            speaker: self
                .serving(Side::Speaker)
                .any(|it| it.works(Side::Speaker)),
            problem: problems.reduce(AudioError::of_both),
        })
    }

    fn look_what_is_used(&self) -> InUse {
        let name = |side| self.serving(side).find_map(|part| part.device(side));
        InUse {
            microphone: name(Side::Microphone).map(str::to_owned),
            speaker: name(Side::Speaker).map(str::to_owned),
            stands_in: self.parts.iter().any(Part::is_stood_in),
        }
    }

    fn serving(&self, side: Side) -> impl Iterator<Item = &Part> {
        self.parts
            .iter()
            .filter(move |part| part.wanted.serves(side))
    }
}

fn parts(choice: AudioChoice, opener: &mut Opener) -> Vec<Part> {
    let wanted = match choice {
        AudioChoice::Devices(chosen) => {
            let calls = [
                Wanted::Device(Side::Microphone, chosen.microphone),
                Wanted::Device(Side::Speaker, chosen.speaker),
            ];
            let ringer = chosen.ringer.map(Wanted::Ringer);
            calls.into_iter().chain(ringer).collect()
        }
        other => vec![Wanted::Whole(other)],
    };
    let part = |wanted| Part::new(wanted, opener);
    wanted.into_iter().map(part).collect()
}

/// None of what is no real device.
fn processing(choice: &AudioChoice) -> Option<Processing> {
    match choice {
        AudioChoice::Devices(chosen) => Some(chosen.processing),
        _ => None,
    }
}
