//! What a change of sound devices does to a call: how long no packet leaves, and how soon there is sound in them again.
//!
//! Our phone alone, at a PulseAudio of its own; the far end's socket stamps what comes. Before it, the delay of a call
//! through such devices ([`through`]), beside baresip.

use std::time::{Duration, Instant};

use rollcall_e2e::Pulse;
use rollcall_e2e::line::{Line, tone};
use rollcall_e2e::sound::folder;

use crate::rounds::milliseconds;
use crate::table::Spread;
use crate::{Result, through};

/// A tone is noise to what cleans a voice.
const AS_IT_IS: &str = "devices:processing=off";
/// Looked at before and after a change.
const AROUND: Duration = Duration::from_secs(2);

/// One round, in milliseconds.
struct Figures {
    /// The longest time between two packets while the microphone is pulled out and put back.
    gap: f64,
    /// From the turn that saw the new microphone's first callback to the first of five packets with sound.
    resumed: f64,
    /// The longest time between two packets while the default goes to a headset and back.
    default_gap: f64,
    /// The longest time without sound meanwhile; 20 is none.
    default_silence: f64,
}

/// A row: what it is called, and where its figure is found.
type Row = (&'static str, fn(&Figures) -> f64);

/// Prints the tables.
pub(crate) fn measure(rounds: usize, seed: u64) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(through::measure(rounds, seed))?;
    let mut figures = Vec::new();
    for round in 1..=rounds {
        let figure = runtime.block_on(round_of_changes());
        println!(
            "  round {round}: gap {:.0} ms, resumed {:.0} ms; default: gap {:.0} ms, silence {:.0} ms",
            figure.gap, figure.resumed, figure.default_gap, figure.default_silence
        );
        figures.push(figure);
    }
    println!("\n{:<58} {:>26}", "milliseconds", "median (range)");
    let rows: [Row; 4] = [
        (
            "microphone pulled out and back: longest time between packets",
            |it| it.gap,
        ),
        ("its first callback seen, to sound in what is sent", |it| {
            it.resumed
        }),
        (
            "default changed and back: longest time between packets",
            |it| it.default_gap,
        ),
        ("longest time between packets with sound", |it| {
            it.default_silence
        }),
    ];
    for (name, figure) in rows {
        println!(
            "{name:<62} {:>22}",
            Spread::of(&figures, figure).to_string()
        );
    }
    println!(
        "\nPackets are due every 20 ms. A callback is seen at the phone's next turn, up to 20 ms after it came; the phone's word \
         of it\ntakes a few milliseconds to here."
    );
    Ok(())
}

async fn round_of_changes() -> Figures {
    let (mut pulse, folder) = (Pulse::start().await, folder());
    let voice = tone(&folder);
    let mut line = Line::through(&pulse, AS_IT_IS).await;
    let _speaking = pulse.speak(&voice.spoken);
    let begin = line.sends(true).await;
    pulse.unplug_microphone().await;
    line.sends(false).await;
    line.works(false, true).await;
    let plugging = pulse.plug_microphone_in();
    let (woke, ()) = tokio::join!(line.microphone_wakes(), plugging);
    let sounds = line.sends(true).await;
    let pulled = line.sent(begin);

    pulse.plug_headset_in().await;
    let _too = pulse.speak_into_headset(&voice.spoken);
    tokio::time::sleep(AROUND).await;
    let begin = Instant::now();
    for headset in [true, false] {
        pulse.prefer_headset(headset).await;
        match headset {
            true => line.uses("headmic", "headset").await,
            false => line.uses("mic", "spk").await,
        }
        tokio::time::sleep(AROUND).await;
    }
    let changed = line.sent(begin);
    Figures {
        gap: milliseconds(pulled.longest_gap),
        resumed: milliseconds(sounds.saturating_duration_since(woke)),
        default_gap: milliseconds(changed.longest_gap),
        default_silence: milliseconds(changed.longest_silence),
    }
}
