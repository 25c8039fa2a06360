//! Instructions a packet, there and back, in the sans-IO session: by callgrind where valgrind is installed.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use rollcall_media::FRAME;
use rollcall_media::codec::Codec;

use crate::quality::pair_of_sessions;
use crate::{Result, callgrind};

/// Counts and prints.
pub(crate) fn measure() -> Result<()> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    println!("\ninstructions a packet of 20 ms, sent and played by our session (codec included)");
    for codec in [Codec::Pcmu, Codec::G722, Codec::Opus] {
        let name = codec.to_string();
        let figure = callgrind::each(&own, |packets| {
            ["packets", &name, packets].map(OsString::from).to_vec()
        })?;
        println!("{name:<7} {:>12}", callgrind::words(figure));
    }
    Ok(())
}

/// Sends and plays so many packets, for callgrind to watch.
pub(crate) fn play(codec: &str, packets: &str) -> Result<()> {
    let codec: Codec = codec.parse().map_err(|error| format!("{error}"))?;
    let packets: u32 = packets.parse().map_err(|error| format!("{error}"))?;
    let [speaker, listener] = [6000, 6002].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let mut random = StdRng::seed_from_u64(1);
    let (mut says, mut hears) = pair_of_sessions(codec, speaker, listener, &mut random)?;
    let mut now = Instant::now();
    let mut frame = [0.0; FRAME];
    for tick in 0..packets {
        for (n, sample) in frame.iter_mut().enumerate() {
            let at = (tick as usize * FRAME + n) as f32 / 48_000.0;
            *sample = 0.3 * (at * std::f32::consts::TAU * 300.0).sin();
        }
        if let Some(packet) = says.send_frame(&frame) {
            hears.handle_packet(now, speaker, packet.bytes);
        }
        hears.play_frame(now, &mut frame);
        now += Duration::from_millis(20);
    }
    Ok(())
}
