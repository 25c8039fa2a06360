//! The delay of a call through the devices of a sound server: clicks go out at the loudspeaker, which the microphone hears.
//!
//! Both phones in turns at one PulseAudio, whose loudspeaker is a null sink and whose microphone is that sink's monitor
//! under a name of its own. Ours takes its devices by cpal, baresip by ALSA's plugin for PulseAudio: Debian builds it
//! without its own module for that.

use std::ffi::OsString;

use rollcall_e2e::{FarEnd, Pulse};

use crate::Result;
use crate::clicks::Source;
use crate::phones::{self, Phone, Work};
use crate::rounds::{SILENT, delays, median, milliseconds};
use crate::table::Spread;

/// A round of one phone.
struct Figures {
    /// The median of the clicks that came back, in milliseconds.
    delay: f64,
    clicks: usize,
}

/// Prints a row for each phone.
pub(crate) async fn measure(rounds: usize, seed: u64) -> Result<()> {
    let phones = [phones::ours()?, phones::baresip()?];
    let mut pulse = Pulse::start().await;
    pulse.let_the_microphone_hear_the_speaker().await;
    let environment = pulse.environment();
    let mut figures = [const { Vec::new() }; 2];
    for round in 1..=rounds {
        for (phone, figures) in phones.iter().zip(&mut figures) {
            // The same clicks for both.
            let figure = turn(phone, &environment, seed + round as u64)?;
            println!(
                "  round {round}: {:<15} {:6.1} ms ({} clicks)",
                phone.name(),
                figure.delay,
                figure.clicks
            );
            figures.push(figure);
        }
    }
    println!(
        "\n{:<62} {:>22}",
        "milliseconds, loudspeaker to microphone at PulseAudio", "median (range)"
    );
    for (phone, figures) in phones.iter().zip(&figures) {
        let delay = Spread::of(figures, |it: &Figures| it.delay);
        println!("{:<62} {:>22}", phone.name(), delay.to_string());
    }
    println!(
        "\nFrom a sample's packet at the far end's socket through the phone, the loudspeaker, the microphone and the phone again to\n\
         its packet there. The sound server's own part, the same for both, is in it.\n"
    );
    Ok(())
}

fn turn(phone: &Phone, environment: &[(String, OsString)], seed: u64) -> Result<Figures> {
    let far_end = FarEnd::listen();
    let work = Work::Through { environment };
    let prepared = phone.prepare(&far_end.address().to_string(), work)?;
    let _running = prepared.start()?;
    let registered = far_end.registered();
    let call = far_end.call(&registered);
    if far_end.rtp(SILENT).is_empty() {
        return Err(format!("{} answered but sends no RTP", phone.name()));
    }
    let mut source = Source::new();
    let delays = delays(
        &far_end,
        &call,
        &mut source,
        seed,
        std::time::Duration::ZERO,
    );
    far_end.hang_up(&call);
    Ok(Figures {
        delay: milliseconds(median(phone, &delays)?),
        clicks: delays.len(),
    })
}
