//! The way of one phone to Asterisk: passes its SIP on, has its sound come through here too, and loses of that what a seed
//! says, each way. Reports (RTCP) get through.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::Result;
use crate::quality::relay::Weather;

/// What UDP carries at most.
const LARGEST: usize = 65_536;

/// Until the bench ends.
pub(super) struct Line {
    address: SocketAddr,
    counts: Arc<Mutex<[Count; 2]>>,
}

/// Packets of one way: to Asterisk, or from it.
#[derive(Clone, Copy, Default)]
pub(super) struct Count {
    sent: u64,
    lost: u64,
}

impl Count {
    pub(super) fn share(self) -> f64 {
        self.lost as f64 / self.sent.max(1) as f64
    }
}

/// The two sides of a call's sound, as their session descriptions say.
#[derive(Default)]
struct Sides {
    phone: Option<SocketAddr>,
    asterisk: Option<SocketAddr>,
}

impl Line {
    /// A way to Asterisk's SIP port on this machine.
    pub(super) fn to(asterisk: &str, weather: Weather, seed: u64) -> Result<Line> {
        let words = |error: std::io::Error| format!("the lossy line: {error}");
        let asterisk: SocketAddr = asterisk
            .parse()
            .map_err(|error| format!("{asterisk}: {error}"))?;
        let (near, far) = (bind(0).map_err(words)?, bind(0).map_err(words)?);
        let (rtp, rtcp) = pair()?;
        let address = near.local_addr().map_err(words)?;
        let place = rtp.local_addr().map_err(words)?.port();
        let sides = Arc::new(Mutex::new(Sides::default()));
        let counts = Arc::new(Mutex::new([Count::default(); 2]));
        let phone = Arc::new(Mutex::new(None));

        let (near, far) = (Arc::new(near), Arc::new(far));
        spawn(&near, {
            let (far, sides, phone) = (Arc::clone(&far), Arc::clone(&sides), Arc::clone(&phone));
            move |from, bytes| {
                *locked(&phone) = Some(from);
                let (bytes, sound) = moved(bytes, place);
                if sound.is_some() {
                    locked(&sides).phone = sound;
                }
                let _ = far.send_to(&bytes, asterisk);
            }
        });
        spawn(&far, {
            let (near, sides) = (Arc::clone(&near), Arc::clone(&sides));
            move |_, bytes| {
                let (bytes, sound) = moved(bytes, place);
                if sound.is_some() {
                    locked(&sides).asterisk = sound;
                }
                if let Some(phone) = *locked(&phone) {
                    let _ = near.send_to(&bytes, phone);
                }
            }
        });
        let mut losses = [weather.lost(seed), weather.lost(seed + 1)];
        sound(rtp, 0, &sides, {
            let counts = Arc::clone(&counts);
            move |way| {
                let lost = losses[way].next() == Some(true);
                let count = &mut locked(&counts)[way];
                count.sent += 1;
                count.lost += u64::from(lost);
                lost
            }
        });
        sound(rtcp, 1, &sides, |_| false);
        Ok(Line { address, counts })
    }

    /// Where the phone finds its registrar.
    pub(super) fn address(&self) -> String {
        self.address.to_string()
    }

    /// To Asterisk, and from it.
    pub(super) fn counts(&self) -> [Count; 2] {
        *locked(&self.counts)
    }
}

/// Passes sound on between the two sides, whose ports lie `above` those of RTP; `lost` is asked for each packet to Asterisk
/// (0) and from it (1).
fn sound(
    socket: UdpSocket,
    above: u16,
    sides: &Arc<Mutex<Sides>>,
    mut lost: impl FnMut(usize) -> bool + Send + 'static,
) {
    let socket = Arc::new(socket);
    let (sides, to) = (Arc::clone(sides), Arc::clone(&socket));
    spawn(&socket, move |from, bytes| {
        let up = |address: Option<SocketAddr>| {
            address.map(|it| SocketAddr::new(it.ip(), it.port() + above))
        };
        let (phone, asterisk) = {
            let sides = locked(&sides);
            (up(sides.phone), up(sides.asterisk))
        };
        let (way, target) = match from {
            from if Some(from) == phone => (0, asterisk),
            from if Some(from) == asterisk => (1, phone),
            _ => return,
        };
        if let Some(target) = target.filter(|_| !lost(way)) {
            let _ = to.send_to(bytes, target);
        }
    });
}

fn spawn(socket: &Arc<UdpSocket>, mut take: impl FnMut(SocketAddr, &[u8]) + Send + 'static) {
    let socket = Arc::clone(socket);
    thread::spawn(move || {
        let mut buffer = vec![0; LARGEST];
        loop {
            // ICMP's errors surface here; the next datagram may be fine.
            if let Ok((length, from)) = socket.recv_from(&mut buffer) {
                take(from, &buffer[..length]);
            }
        }
    });
}

/// A SIP message whose session description, if there is one, names our port, without a word of where reports go; and where
/// the sound was.
fn moved(message: &[u8], place: u16) -> (Vec<u8>, Option<SocketAddr>) {
    let text = String::from_utf8_lossy(message);
    let found = text.split_once("\r\n\r\n").and_then(|(head, body)| {
        // Some describe themselves in answers to OPTIONS too.
        head.lines()
            .find(|line| line.starts_with("CSeq:") && line.ends_with(" INVITE"))?;
        let port = body
            .lines()
            .find_map(|line| line.strip_prefix("m=audio "))?
            .split(' ')
            .next()?;
        Some((head, body, port.parse::<u16>().ok()?))
    });
    let Some((head, body, port)) = found else {
        return (message.to_vec(), None);
    };
    let body: String = body
        .lines()
        .filter(|line| !line.starts_with("a=rtcp"))
        .map(|line| {
            line.replace(&format!("m=audio {port} "), &format!("m=audio {place} ")) + "\r\n"
        })
        .collect();
    let head: Vec<String> = head
        .lines()
        .map(|line| match line.split_once(':') {
            Some((name, _))
                if ["content-length", "l"].contains(&name.trim().to_ascii_lowercase().as_str()) =>
            {
                format!("Content-Length: {}", body.len())
            }
            _ => line.to_owned(),
        })
        .collect();
    let message = format!("{}\r\n\r\n{body}", head.join("\r\n"));
    (
        message.into_bytes(),
        Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
    )
}

/// An even port and the one above it.
fn pair() -> Result<(UdpSocket, UdpSocket)> {
    let even = (0..1_000).find_map(|_| {
        let rtp = bind(0).ok()?;
        let port = rtp.local_addr().ok()?.port();
        let rtcp = bind(port.checked_add(1)?).ok()?;
        port.is_multiple_of(2).then_some((rtp, rtcp))
    });
    even.ok_or_else(|| "no two ports in a row are free".to_owned())
}

fn bind(port: u16) -> std::io::Result<UdpSocket> {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, port))
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::moved;

    #[test]
    fn the_sound_of_a_description_is_moved_and_its_length_told_anew() {
        let body = "v=0\r\nm=audio 5004 RTP/AVP 0\r\na=rtcp:5005\r\n";
        let message = format!(
            "INVITE sip:x SIP/2.0\r\nCSeq: 1 INVITE\r\nl: {}\r\n\r\n{body}",
            body.len()
        );
        let (told, sound) = moved(message.as_bytes(), 40_000);
        let moved_body = "v=0\r\nm=audio 40000 RTP/AVP 0\r\n";
        let wanted = format!(
            "INVITE sip:x SIP/2.0\r\nCSeq: 1 INVITE\r\nContent-Length: {}\r\n\r\n{moved_body}",
            moved_body.len()
        );
        assert_eq!(String::from_utf8_lossy(&told), wanted);
        assert_eq!(sound.map(|it| it.port()), Some(5004));
        let other = message.replace("1 INVITE", "1 OPTIONS").into_bytes();
        assert_eq!(moved(&other, 1), (other.clone(), None));
    }
}
