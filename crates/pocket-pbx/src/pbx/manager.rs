//! Manager sessions: who is connected, who may hear what.
//!
//! Owns logins and event classes. What the actions mean is answered in [`super::actions`].

use std::collections::BTreeMap;

use rollcall_ami::Packet;
use rollcall_ami::answer::{GREETING, Request};
use rollcall_ami::frame::{Decoder, Frame, Limits};

use crate::config::Manager;

/// One connection to the manager interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ManagerId(pub u64);

/// Connections at a time; more are closed at once.
const MAX_SESSIONS: usize = 64;

/// The event classes that occur here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    System,
    Call,
    Agent,
}

impl Class {
    fn word(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Call => "call",
            Self::Agent => "agent",
        }
    }

    /// The `Privilege` header.
    pub(crate) fn privilege(self) -> &'static str {
        match self {
            Self::System => "system,all",
            Self::Call => "call,all",
            Self::Agent => "agent,all",
        }
    }
}

/// Which events a session hears.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Mask {
    All,
    Nothing,
    Classes(Vec<String>),
}

impl Mask {
    fn parse(text: &str) -> Self {
        match text.trim().to_ascii_lowercase().as_str() {
            "" | "on" | "all" | "true" => Self::All,
            "off" | "none" | "false" => Self::Nothing,
            classes => Self::Classes(
                classes
                    .split(',')
                    .map(|class| class.trim().to_owned())
                    .collect(),
            ),
        }
    }

    fn hears(&self, class: Class) -> bool {
        match self {
            Self::All => true,
            Self::Nothing => false,
            Self::Classes(classes) => classes
                .iter()
                .any(|name| name == class.word() || name == "all"),
        }
    }
}

#[derive(Debug)]
struct Session {
    decoder: Decoder,
    /// None before the login.
    mask: Option<Mask>,
}

/// What to do for a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ManagerOutput {
    Send(ManagerId, Vec<u8>),
    Close(ManagerId),
}

/// All sessions.
#[derive(Debug)]
pub(crate) struct Managers {
    account: Manager,
    sessions: BTreeMap<ManagerId, Session>,
    outputs: Vec<ManagerOutput>,
}

impl Managers {
    pub(crate) fn new(account: Manager) -> Self {
        Self {
            account,
            sessions: BTreeMap::new(),
            outputs: Vec::new(),
        }
    }

    pub(crate) fn connected(&mut self, id: ManagerId) {
        if self.sessions.len() >= MAX_SESSIONS {
            self.outputs.push(ManagerOutput::Close(id));
            return;
        }
        self.sessions.insert(
            id,
            Session {
                decoder: Decoder::of_client(Limits::for_actions()),
                mask: None,
            },
        );
        self.outputs
            .push(ManagerOutput::Send(id, GREETING.to_vec()));
    }

    pub(crate) fn disconnected(&mut self, id: ManagerId) {
        self.sessions.remove(&id);
    }

    /// Takes bytes and returns the actions of a session that is logged in.
    pub(crate) fn bytes(
        &mut self,
        id: ManagerId,
        bytes: &[u8],
        fully_booted: &Packet,
    ) -> Vec<Request> {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.decoder.push(bytes);
        }
        let mut requests = Vec::new();
        while let Some(session) = self.sessions.get_mut(&id) {
            match session.decoder.next_frame() {
                Ok(Some(Frame::Packet(packet))) => {
                    let Some(request) = Request::from_packet(packet) else {
                        continue;
                    };
                    requests.extend(self.admit(id, request, fully_booted));
                }
                Ok(Some(Frame::Greeting(_))) => {}
                Ok(None) => break,
                Err(_) => self.close(id),
            }
        }
        requests
    }

    pub(crate) fn answer(&mut self, id: ManagerId, packets: &[Packet]) {
        let mut wire = Vec::new();
        packets.iter().for_each(|packet| packet.encode(&mut wire));
        self.outputs.push(ManagerOutput::Send(id, wire));
    }

    /// Sends an event to everyone who hears its class.
    pub(crate) fn tell(&mut self, class: Class, packet: &Packet) {
        let mut wire = Vec::new();
        packet.encode(&mut wire);
        for (id, session) in &self.sessions {
            if session.mask.as_ref().is_some_and(|mask| mask.hears(class)) {
                self.outputs.push(ManagerOutput::Send(*id, wire.clone()));
            }
        }
    }

    pub(crate) fn set_mask(&mut self, id: ManagerId, text: &str) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.mask = Some(Mask::parse(text));
        }
    }

    pub(crate) fn close(&mut self, id: ManagerId) {
        if self.sessions.remove(&id).is_some() {
            self.outputs.push(ManagerOutput::Close(id));
        }
    }

    pub(crate) fn take_outputs(&mut self) -> Vec<ManagerOutput> {
        std::mem::take(&mut self.outputs)
    }

    /// Lets the actions of logged-in sessions through; answers everything before that.
    fn admit(&mut self, id: ManagerId, request: Request, fully_booted: &Packet) -> Option<Request> {
        let logged_in = self
            .sessions
            .get(&id)
            .is_some_and(|session| session.mask.is_some());
        if logged_in {
            return Some(request);
        }
        if !request.name().eq_ignore_ascii_case("Login") {
            self.answer(id, &[request.error("Permission denied")]);
            return None;
        }
        let right = request.get("Username") == Some(&self.account.username)
            && request.get("Secret") == Some(self.account.secret.expose());
        if right {
            self.set_mask(id, request.get("Events").unwrap_or("on"));
            self.answer(
                id,
                &[
                    request.success("Authentication accepted"),
                    fully_booted.clone(),
                ],
            );
        } else {
            self.answer(id, &[request.error("Authentication failed")]);
            self.close(id);
        }
        None
    }
}
