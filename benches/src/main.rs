//! `rollcall-bench`: rollcall-phone and its peer baresip, rollcall-server and a Node service, measured side by side in one
//! run; and how speech sounds after losses.
//!
//! Owns the rounds (A B A B), the figures and the table. It passes no verdict and has no threshold: machines differ, so
//! what counts is the ratio of two medians of the same run. Both programs meet the same far end, whose one socket stamps
//! all that comes from them with one clock.

mod callgrind;
mod clicks;
mod devices;
mod load;
mod messages;
mod packets;
mod paths;
mod phones;
mod quality;
mod rounds;
mod server;
mod signalling;
mod soak;
mod table;
mod through;

use std::process::ExitCode;

/// Fewer than this say nothing on a shared machine.
const FEWEST_ROUNDS: usize = 7;

const USAGE: &str = "\
rollcall-bench [delay] [--rounds N] [--seed N]   start, first packet, delay, calls and REGISTERs a second, messages;
                                                 writes docs/softphone.md; >= 7 rounds
rollcall-bench server [--rounds N]               agent-online beside a Node service, and 500 sign-ins at once
rollcall-bench attacks                           what attackers get of the server; writes docs/attacks.md
rollcall-bench media [--rounds N]                CPU and memory of 1, 40 and more calls beside baresip, instructions a packet
rollcall-bench quality [--seed N]                PESQ of speech by codec and loss, on virtual time
rollcall-bench devices [--rounds N] [--seed N]   delay through a sound server beside baresip, and what a change of devices does
                                                 to the packets of a call
rollcall-bench paths [--seed N] [--loss N]       PESQ through Asterisk over a lossy line, beside baresip; a quarter of an hour,
                                                 or only at that percentage
rollcall-bench pauses [--seed N]                 what is sent while nobody speaks, by the noise of the room
rollcall-bench processing [--seed N]             echo, and who speaks at the same time, in a synthetic room
rollcall-bench soak [--hours N] [--seed N]       a day of calls: what memory, sockets and tasks it leaves
";

/// What went wrong, in words for the person at the terminal.
type Result<T> = std::result::Result<T, String>;

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    if let [name, codec, packets] = words.as_slice()
        && name == "packets"
    {
        return ended(packets::play(codec, packets));
    }
    let named = words.first().filter(|word| !word.starts_with("--"));
    let named = named.cloned().inspect(|_| drop(words.remove(0)));
    let measured = options(words.into_iter()).and_then(|options| match named.as_deref() {
        None | Some("delay") => measure(&options),
        Some("server") => server::measure(options.rounds),
        Some("attacks") => server::attacks::measure(),
        Some("quality") => quality::measure(options.seed),
        Some("media") => both().and_then(|phones| load::measure(&phones, options.rounds)),
        Some("devices") => devices::measure(options.rounds, options.seed),
        Some("paths") => paths::measure(options.seed, options.loss),
        Some("pauses") => quality::pauses::measure(options.seed),
        Some("processing") => quality::echo::measure(options.seed),
        Some("soak") => soak::measure(options.seed, options.hours),
        Some(_) => Err(USAGE.to_owned()),
    });
    ended(measured)
}

fn ended(measured: Result<()>) -> ExitCode {
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(words) => {
            eprintln!("rollcall-bench: {words}");
            ExitCode::FAILURE
        }
    }
}

struct Options {
    rounds: usize,
    seed: u64,
    hours: usize,
    /// Percent; all there are where none is named.
    loss: Option<u64>,
}

fn options(mut words: impl Iterator<Item = String>) -> Result<Options> {
    let mut options = Options {
        rounds: FEWEST_ROUNDS,
        seed: 1,
        hours: 24,
        loss: None,
    };
    while let Some(word) = words.next() {
        let number = words
            .next()
            .and_then(|number| number.parse::<u64>().ok())
            .ok_or(USAGE)?;
        match word.as_str() {
            "--rounds" => options.rounds = usize::try_from(number).map_err(|_| USAGE)?,
            "--seed" => options.seed = number,
            "--loss" => options.loss = Some(number),
            "--hours" => options.hours = usize::try_from(number).map_err(|_| USAGE)?,
            _ => return Err(USAGE.to_owned()),
        }
    }
    if options.rounds < FEWEST_ROUNDS {
        return Err(format!("at least {FEWEST_ROUNDS} rounds\n{USAGE}"));
    }
    Ok(options)
}

fn both() -> Result<[phones::Phone; 2]> {
    Ok([phones::ours()?, phones::baresip()?])
}

fn measure(options: &Options) -> Result<()> {
    let phones = both()?;
    let names: Vec<&str> = phones.iter().map(|phone| phone.name()).collect();
    println!(
        "{}, in turns, {} rounds, seed {}",
        names.join(" and "),
        options.rounds,
        options.seed
    );
    let mut figures = [const { Vec::new() }; 2];
    for round in 1..=options.rounds {
        for (phone, figures) in phones.iter().zip(&mut figures) {
            // The same clicks for both.
            let figure = rounds::round(phone, options.seed + round as u64)?;
            println!("  round {round}: {:<15} {figure}", phone.name());
            figures.push(figure);
        }
    }
    let messages = messages::measure(options.rounds)?;
    table::publish(&phones, &figures, &messages, options.seed)
}
