//! Rollcall's chores: `cargo xtask run | setup | test | bench | soak | image | windows | macos | lab`.
//!
//! Owns the set-up of a machine, the order in which things are built and started, and the words a person reads
//! meanwhile. It knows nothing of SIP or of the server's inside: it starts the same binaries that users start.

mod bench;
mod compile;
mod deny;
mod elsewhere;
mod failures;
mod fuzz;
mod image;
mod kamailio;
mod lab;
mod mysql;
mod packages;
mod process;
mod python;
mod run;
mod runner;
mod schemathesis;
mod soak;
mod step;
mod test;
mod ui;
mod unpack;
mod workspace;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask run [--built]          set up, build and start the demo: pocket PBX, server, an agent and the app
                                   (--built: start what was built before, as it is)
cargo xtask setup                  install the system packages that building and testing need, and nothing else
cargo xtask test [PART...] [-- X]  set up and run the tests; PART is one of: fmt, clippy, deny, ui, unit, e2e
                                   (all of them if none is named); X goes to the test runner
cargo xtask bench [--rounds N]     the phone, a release build, beside baresip; writes docs/softphone.md
cargo xtask bench quality          PESQ of speech by codec and loss, on virtual time
cargo xtask bench paths            PESQ through Asterisk over a lossy line, beside baresip
cargo xtask bench devices          delay through a sound server, and what a change of devices does to the packets of a call
cargo xtask bench pauses           what Opus sends while nobody speaks, by the noise of the room
cargo xtask bench media            CPU and memory of 1, 40 and more calls beside baresip, and instructions a packet
cargo xtask bench processing       echo and double talk in a synthetic room, and what a frame costs
cargo xtask bench server           agent-online beside a Node service, and 500 sign-ins at once
cargo xtask bench attacks          what attackers get of the server; writes docs/attacks.md
cargo xtask bench agree [--rounds N]
                                   every fault beside Asterisk 22, N times; writes docs/time-to-agree.md
cargo xtask bench soak             a day of calls: what memory, sockets and tasks it leaves
cargo xtask soak [--seeds N] [--rounds N] [--seconds N]
                                   play 100,000 simulated houses and the other tests named soak with many more seeds
                                   than the test command does, every fault beside Asterisk 22 so many times, then
                                   fuzz every target with AddressSanitizer (`soak fuzz`: only that)
cargo xtask image                  carry out the container file without an engine, and start what comes of it
cargo xtask windows                compile-check the programs for Windows
cargo xtask macos                  the same for macOS
cargo xtask lab fetch              unpack Asterisk 22 into the cache and print where
cargo xtask lab start              start it for use by hand, with two extensions, until Ctrl-C
cargo xtask lab env                print the environment that the end-to-end tests want, for eval
";

/// What went wrong, in words for the person at the terminal.
pub(crate) type Result<T> = std::result::Result<T, String>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["run"] => run::run(),
        ["run", "--built"] => run::run_built(),
        ["setup"] => packages::ensure_all(),
        ["test", rest @ ..] => test::test(rest),
        ["bench", rest @ ..] => bench::bench(rest),
        ["soak", rest @ ..] => soak::soak(rest),
        ["image"] => image::image(),
        ["windows"] => elsewhere::windows(),
        ["macos"] => elsewhere::macos(),
        ["lab", "fetch"] => lab::fetch().and_then(|lab| {
            println!("{}", lab.root.display());
            kamailio::fetch()?;
            let _ = mysql::fetch().inspect_err(|words| eprintln!("no MySQL: {words}"));
            Ok(())
        }),
        ["lab", "start"] => lab::start(),
        ["lab", "env"] => lab::print_environment(),
        [] | ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            Ok(())
        }
        _ => Err(format!("no such chore: {}\n\n{USAGE}", words.join(" "))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(words) => {
            eprintln!("\nxtask: {words}");
            ExitCode::FAILURE
        }
    }
}
