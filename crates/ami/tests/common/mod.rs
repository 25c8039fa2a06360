//! An Asterisk that says what a test lets it say.

use std::time::{Duration, Instant};

use rollcall_ami::session::{Output, Session, SessionConfig};
use rollcall_ami::{Action, ActionError, EventKind, Listing};

/// An excerpt of real traffic; its ActionID is `x1`.
pub(crate) fn capture(name: &str) -> String {
    let path = format!("{}/tests/captures/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

/// The kinds of a list's items.
pub(crate) fn kinds(listing: Result<Listing, ActionError>) -> Vec<EventKind> {
    match listing {
        Ok(Listing::Items(items)) => items.into_iter().map(|event| event.kind).collect(),
        other => panic!("no list: {other:?}"),
    }
}

/// A session and the Asterisk at its other end.
pub(crate) struct Peer {
    session: Session,
    now: Instant,
}

impl Peer {
    /// Connected, nothing said yet.
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self {
            session: Session::new(SessionConfig::new("lab", "pw"), 0xfeed, now),
            now,
        }
    }

    /// Logged in and fully booted, by the captured login.
    pub(crate) fn ready() -> Self {
        let mut peer = Self::new();
        let login = capture("login");
        let (greeting, rest) = login.split_once('\n').unwrap();
        peer.says(&format!("{greeting}\n"));
        let asked = peer.heard();
        let rest = rest.replacen(
            "Response: Success\n",
            "Response: Success\nActionID: x1\n",
            1,
        );
        peer.answers(&asked, &rest);
        assert!(peer.outputs().contains(&Output::Ready));
        peer
    }

    /// Asterisk sends this.
    pub(crate) fn says(&mut self, text: &str) {
        let wire = text.replace("\r\n", "\n").replace('\n', "\r\n");
        self.session.handle_bytes(self.now, wire.as_bytes());
    }

    /// Asterisk sends this with the ActionID of `asked` for `x1`.
    pub(crate) fn answers(&mut self, asked: &str, text: &str) {
        let id = asked
            .lines()
            .find_map(|line| line.strip_prefix("ActionID: "))
            .unwrap();
        self.says(&text.replace("ActionID: x1\n", &format!("ActionID: {id}\n")));
    }

    /// What the session has sent since last asked.
    pub(crate) fn heard(&mut self) -> String {
        let bytes: Vec<u8> = std::iter::from_fn(|| self.session.poll_transmit())
            .flatten()
            .collect();
        String::from_utf8(bytes).unwrap()
    }

    /// What the session has told since last asked.
    pub(crate) fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.session.poll_output()).collect()
    }

    /// Time passes in silence.
    pub(crate) fn passes(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.session.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.session.handle_timeout(self.now);
        }
        self.now = end;
    }

    /// Time passes with an event called `Reload` every second.
    pub(crate) fn passes_talking(&mut self, time: Duration) {
        for _ in 0..time.as_secs() {
            self.passes(Duration::from_secs(1));
            self.session
                .handle_bytes(self.now, b"Event: Reload\r\n\r\n");
        }
    }

    /// The connection ends.
    pub(crate) fn disconnects(&mut self) {
        self.session.handle_disconnect();
    }

    /// Asks for an action.
    pub(crate) fn ask(&mut self, action: Action) {
        self.session.request(self.now, action);
    }

    /// Asks for a list.
    pub(crate) fn ask_list(&mut self, action: Action) {
        self.session.list(self.now, action);
    }

    /// Asks for a list that Asterisk answers with `text`.
    pub(crate) fn list(&mut self, action: Action, text: &str) -> Result<Listing, ActionError> {
        self.ask_list(action);
        let asked = self.heard();
        self.answers(&asked, text);
        match self.outputs().pop() {
            Some(Output::Listed(_, outcome)) => outcome,
            other => panic!("no outcome: {other:?}"),
        }
    }
}
