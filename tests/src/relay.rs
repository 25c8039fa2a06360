//! A TCP connection that a test can cut and mend: it stands between the server and Asterisk's manager interface.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Relays every connection to one address until it is cut.
#[derive(Debug)]
pub struct Relay {
    port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    cut: bool,
    streams: Vec<TcpStream>,
}

impl Relay {
    /// Listens on a free port of 127.0.0.1 and relays to `target` on the same host.
    ///
    /// # Panics
    ///
    /// If it cannot listen.
    pub fn to(target: u16) -> Relay {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .unwrap_or_else(|error| panic!("relay: {error}"));
        let port = listener.local_addr().map_or(0, |address| address.port());
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let _ = relay(near, (Ipv4Addr::LOCALHOST, target).into(), &shared);
            }
        });
        Relay { port, state }
    }

    /// Where to connect to, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends all connections; new ones are closed at once.
    pub fn cut(&self) {
        let mut state = locked(&self.state);
        state.cut = true;
        for stream in state.streams.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Relays new connections again.
    pub fn mend(&self) {
        locked(&self.state).cut = false;
    }
}

fn relay(near: TcpStream, target: SocketAddr, state: &Mutex<State>) -> io::Result<()> {
    let mut state = locked(state);
    if state.cut {
        return near.shutdown(Shutdown::Both);
    }
    let far = TcpStream::connect(target)?;
    state.streams.extend([near.try_clone()?, far.try_clone()?]);
    copy(near.try_clone()?, far.try_clone()?);
    copy(far, near);
    Ok(())
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
