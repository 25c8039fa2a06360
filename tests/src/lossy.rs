//! A network between phones and a registrar that loses datagrams, as a NAT would stand there: each phone gets an address
//! of its own on the far side.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// What UDP carries at most.
const LARGEST: usize = 65_536;

/// A lossy way to one address, until the test's process ends.
#[derive(Debug)]
pub struct Lossy {
    near: SocketAddr,
    /// Of a thousand datagrams so many are lost, each way.
    lost: Arc<AtomicU32>,
}

impl Lossy {
    /// A way to `target` on this machine, lossless at first; what is lost is drawn from `seed`.
    ///
    /// # Panics
    ///
    /// If it cannot listen, or `target` is no address.
    pub fn to(target: &str, seed: u64) -> Lossy {
        let far: SocketAddr = target
            .parse()
            .unwrap_or_else(|error| panic!("{target}: {error}"));
        let near = bind();
        let address = near
            .local_addr()
            .unwrap_or_else(|error| panic!("lossy: {error}"));
        let way = Arc::new(Way {
            near,
            far,
            lost: Arc::default(),
            random: Mutex::new(StdRng::seed_from_u64(seed)),
        });
        let lost = Arc::clone(&way.lost);
        thread::spawn(move || from_phones(&way));
        Lossy {
            near: address,
            lost,
        }
    }

    /// Where phones find the registrar.
    pub fn address(&self) -> String {
        self.near.to_string()
    }

    /// From now on so many of a thousand datagrams are lost, each way.
    pub fn lose(&self, per_mille: u32) {
        self.lost.store(per_mille, Ordering::Relaxed);
    }
}

struct Way {
    near: UdpSocket,
    far: SocketAddr,
    lost: Arc<AtomicU32>,
    random: Mutex<StdRng>,
}

impl Way {
    fn is_lost(&self) -> bool {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        random.random_range(0..1_000) < self.lost.load(Ordering::Relaxed)
    }
}

fn from_phones(way: &Arc<Way>) {
    let mut addresses: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut buffer = vec![0; LARGEST];
    while let Ok((length, phone)) = way.near.recv_from(&mut buffer) {
        let socket = addresses.entry(phone).or_insert_with(|| {
            let socket = Arc::new(bind());
            let (way, listening) = (Arc::clone(way), Arc::clone(&socket));
            thread::spawn(move || to_phone(&way, &listening, phone));
            socket
        });
        if !way.is_lost() {
            let _ = socket.send_to(buffer.get(..length).unwrap_or_default(), way.far);
        }
    }
}

fn to_phone(way: &Way, socket: &UdpSocket, phone: SocketAddr) {
    let mut buffer = vec![0; LARGEST];
    loop {
        // A registrar that is away answers with an error of ICMP's, and may be back.
        let Ok((length, _)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        if !way.is_lost() {
            let _ = way
                .near
                .send_to(buffer.get(..length).unwrap_or_default(), phone);
        }
    }
}

fn bind() -> UdpSocket {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap_or_else(|error| panic!("lossy: {error}"))
}
