//! How speech sounds after a bad network: PESQ of real prompts, by codec and loss.
//!
//! The sound goes through two whole sessions and a seeded relay on virtual time, so that a minute of speech takes a
//! second of computing; then the prompts are cut out of what was heard and compared with what went in.
//!
//! ```text
//! prompts ─► session ─► relay (loses) ─► session ─► cut at the prompts ─► PESQ against what went in
//! ```

pub(crate) mod echo;
mod ours;
pub(crate) mod pauses;
pub(crate) mod relay;
pub(crate) mod score;
pub(crate) mod speech;

use std::time::Duration;

use rollcall_media::codec::Codec;

use crate::Result;
use ours::Punctuality;
pub(crate) use ours::{pair_of_sessions, sessions_of};
use relay::Weather;
use speech::Speech;

/// What is scored: a codec, and the weathers of its table.
struct Table {
    codec: Codec,
    weathers: &'static [Weather],
}

const TABLES: [Table; 3] = [
    Table {
        codec: Codec::Opus,
        weathers: &[
            Weather::random(0.0),
            Weather::random(0.05),
            Weather::random(0.10),
            Weather::random(0.20),
            Weather::random(0.30),
            Weather::bursts(0.10),
            Weather::bursts(0.20),
        ],
    },
    Table {
        codec: Codec::Pcmu,
        weathers: LIGHT,
    },
    Table {
        codec: Codec::G722,
        weathers: LIGHT,
    },
];

const LIGHT: &[Weather] = &[
    Weather::random(0.0),
    Weather::random(0.02),
    Weather::random(0.05),
    Weather::random(0.10),
];

/// Prints the tables.
pub(crate) fn measure(seed: u64) -> Result<()> {
    let speech = Speech::read()?;
    println!(
        "PESQ of {} prompts, {:.0} s in all, seed {seed}; wide band for Opus and G.722, narrow band for PCMU",
        speech.prompts().len(),
        speech.seconds()
    );
    for table in TABLES {
        println!(
            "\n{:<6} {:<16} {:>6} {:>8} {:>9} {:>9} {:>6} {:>8}",
            "codec", "loss", "lost", "kbit/s", "restored", "delay ms", "PESQ", "(worst)"
        );
        for weather in table.weathers {
            let heard = ours::hear(table.codec, *weather, Punctuality::PERFECT, &speech, seed)?;
            let score = score::score(table.codec, &speech, &heard.sound)?;
            println!(
                "{:<6} {:<16} {:>5.1}% {:>8.1} {:>8.0}% {:>9.0} {:>6.2} {:>8}",
                table.codec.to_string(),
                weather.to_string(),
                100.0 * heard.lost,
                heard.kilobits,
                100.0 * heard.restored,
                heard.delay_ms,
                score.mean,
                format!("({:.2})", score.worst),
            );
        }
    }
    measure_busy(&speech, seed)?;
    println!(
        "\nlost: packets that the relay dropped. restored: of those, from redundancy. delay: what the jitter buffer asks for\n\
         beyond the fastest packet, at the end. The sender is told the loss every five seconds, as RTCP would; the first\n\
         prompt is not scored. late: by how much both ends' ticks are late, in the mean and at most, because other programs run;\n\
         phase: how long after the speaker's ticks the listener's are due; packets take 7 ms. starved: frames made up for want\n\
         of a packet. left out, put in: milliseconds by which the buffer changed the delay."
    );
    Ok(())
}

/// Mean and most milliseconds by which ticks are late.
const LATENESS: [(f64, f64); 4] = [(0.1, 1.0), (1.0, 5.0), (2.0, 15.0), (4.0, 40.0)];

/// How far apart the ticks of both ends may lie.
const PHASES: [u64; 4] = [1, 8, 13, 18];

/// What busy machines do to a call that loses nothing.
fn measure_busy(speech: &Speech, seed: u64) -> Result<()> {
    println!(
        "\n{:<6} {:<16} {:>8} {:>8} {:>9} {:>9} {:>9} {:>6} {:>8}",
        "codec",
        "late ms (most)",
        "phase ms",
        "starved",
        "left out",
        "put in",
        "delay ms",
        "PESQ",
        "(worst)"
    );
    for (mean, most) in LATENESS {
        for phase in PHASES {
            let punctuality = Punctuality {
                mean: mean / 1e3,
                most: most / 1e3,
                phase: Duration::from_millis(phase),
            };
            let heard = ours::hear(Codec::Opus, Weather::random(0.0), punctuality, speech, seed)?;
            let score = score::score(Codec::Opus, speech, &heard.sound)?;
            let [left_out, put_in] = heard.stretched_ms;
            println!(
                "{:<6} {:<16} {phase:>8} {:>8} {left_out:>9.0} {put_in:>9.0} {:>9.0} {:>6.2} {:>8}",
                Codec::Opus.to_string(),
                format!("{mean:.1} ({most:.0})"),
                heard.starved,
                heard.delay_ms,
                score.mean,
                format!("({:.2})", score.worst),
            );
        }
    }
    Ok(())
}
