//! The task of one call's RTP.

use std::io;
use std::net::SocketAddr;

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::relay::{Aim, Relay};

/// Larger than any packet of 20 ms of sound.
const PACKET_BYTES: usize = 2048;

/// Steers a call's media; dropping it closes the sockets.
#[derive(Debug)]
pub(super) struct MediaHandle {
    aims: mpsc::UnboundedSender<(usize, Aim)>,
}

impl MediaHandle {
    pub(super) fn aim(&self, side: usize, aim: Aim) {
        // A task that ended has nothing left to steer.
        let _ = self.aims.send((side, aim));
    }
}

/// Starts the task over one or two bound sockets.
pub(super) fn spawn(tasks: &mut JoinSet<()>, relay: Relay, sockets: Vec<UdpSocket>) -> MediaHandle {
    let (aims, received) = mpsc::unbounded_channel();
    tasks.spawn(run(relay, sockets, received));
    MediaHandle { aims }
}

async fn run(
    mut relay: Relay,
    sockets: Vec<UdpSocket>,
    mut aims: mpsc::UnboundedReceiver<(usize, Aim)>,
) {
    let (Some(first), second) = (sockets.first(), sockets.get(1)) else {
        return;
    };
    let (mut here, mut there) = ([0; PACKET_BYTES], [0; PACKET_BYTES]);
    loop {
        let (side, received, buffer) = tokio::select! {
            aim = aims.recv() => match aim {
                Some((side, aim)) => {
                    relay.aim(side, aim);
                    continue;
                }
                None => return,
            },
            received = first.recv_from(&mut here) => (0, received, &mut here),
            received = receive(second, &mut there) => (1, received, &mut there),
        };
        let Ok((length, from)) = received else {
            continue;
        };
        let Some(packet) = buffer.get_mut(..length) else {
            continue;
        };
        if let Some((out, to)) = relay.handle_packet(side, from, packet)
            && let Some(socket) = sockets.get(out)
        {
            // A packet that cannot be sent is a lost packet.
            let _ = socket.send_to(packet, to).await;
        }
    }
}

async fn receive(socket: Option<&UdpSocket>, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    match socket {
        Some(socket) => socket.recv_from(buffer).await,
        None => std::future::pending().await,
    }
}
