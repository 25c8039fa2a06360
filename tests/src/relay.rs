//! A TCP connection that a test can cut, mend and spoil: it stands between the server and Asterisk's manager interface,
//! or between an app and the server.

use std::io::{self, Read as _, Write as _};
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
    faults: Vec<(String, Fault)>,
}

/// What befalls what the near side says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection ends, and it is not passed on.
    Refused,
    /// It is passed on, and the connection ends before the answer: once, then no more.
    AnswerLostOnce,
    /// It is not passed on, and the connection stays.
    Swallowed,
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

impl Relay {
    /// From now on `fault` befalls what the near side says with `words` in it.
    pub fn spoil(&self, words: &str, fault: Fault) {
        locked(&self.state).faults.push((words.to_owned(), fault));
    }

    /// Nothing befalls anything any more.
    pub fn spare(&self) {
        locked(&self.state).faults.clear();
    }

    /// Says `bytes` to the near side in the far side's place, for as long as it listens.
    pub fn forge(&self, bytes: &[u8]) {
        for near in locked(&self.state).streams.iter().step_by(2) {
            let (near, bytes) = (near.try_clone(), bytes.to_vec());
            thread::spawn(move || near.and_then(|mut near| near.write_all(&bytes)));
        }
    }
}

fn relay(near: TcpStream, target: SocketAddr, shared: &Arc<Mutex<State>>) -> io::Result<()> {
    let mut state = locked(shared);
    if state.cut {
        return near.shutdown(Shutdown::Both);
    }
    let far = TcpStream::connect(target)?;
    state.streams.extend([near.try_clone()?, far.try_clone()?]);
    pass_on(near.try_clone()?, far.try_clone()?, Arc::clone(shared));
    copy(far, near);
    Ok(())
}

/// Passes on what the near side says, but for what a fault befalls. A request of an app comes in one piece.
fn pass_on(mut near: TcpStream, mut far: TcpStream, state: Arc<Mutex<State>>) {
    thread::spawn(move || {
        let mut buffer = [0; 64 * 1024];
        while let Ok(length @ 1..) = near.read(&mut buffer) {
            let said = buffer.get(..length).unwrap_or_default();
            match befalls(&mut locked(&state).faults, said) {
                Some(Fault::Swallowed) => continue,
                Some(Fault::Refused) => break,
                Some(Fault::AnswerLostOnce) => {
                    let _ = near.shutdown(Shutdown::Both);
                    // The far side finishes what it was asked: it sees no end until it has answered.
                    let _ = far.write_all(said);
                    return;
                }
                None if far.write_all(said).is_err() => break,
                None => {}
            }
        }
        let _ = near.shutdown(Shutdown::Both);
        let _ = far.shutdown(Shutdown::Both);
    });
}

fn befalls(faults: &mut Vec<(String, Fault)>, said: &[u8]) -> Option<Fault> {
    let text = String::from_utf8_lossy(said);
    let hit = faults.iter().position(|(words, _)| text.contains(words))?;
    let (_, fault) = faults.get(hit)?;
    let fault = *fault;
    if fault == Fault::AnswerLostOnce {
        faults.remove(hit);
    }
    Some(fault)
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
