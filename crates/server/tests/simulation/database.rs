//! The model of the database: transactions in order, each whole, some time later; or none at all.

use std::collections::BTreeMap;

use rollcall_alignment::*;

/// What is on disk.
#[derive(Debug, Default)]
pub(crate) struct Database {
    pub(crate) down: bool,
    /// `ps_contacts` is Asterisk's own: only our column of it is written, and what is over stands in a table of ours.
    pub(crate) shared: bool,
    pub(crate) last: BTreeMap<ContactId, ContactRow>,
    /// Who has each extension, and what that row says; it goes with them.
    pub(crate) people: BTreeMap<Extension, i64>,
    users: BTreeMap<Extension, UserRow>,
    pub(crate) rows: BTreeMap<ContactId, ContactRow>,
    pub(crate) sessions: BTreeMap<SessionId, SessionRow>,
    pub(crate) pauses: BTreeMap<Extension, PauseRow>,
    pub(crate) ledger: Vec<LedgerEntry>,
    ended_in_order: Vec<SessionId>,
}

impl Database {
    pub(crate) fn new(shared: bool) -> Self {
        Database {
            shared,
            ..Database::default()
        }
    }

    /// One transaction; false if it could not be made.
    pub(crate) fn make(&mut self, writes: Vec<Write>) -> bool {
        if self.down {
            return false;
        }
        assert!(!writes.is_empty(), "a commit of nothing");
        for write in writes {
            match write {
                // An update: who is not there is not made.
                Write::User(row) if self.people.contains_key(&row.extension) => {
                    self.users.insert(row.extension.clone(), row);
                }
                Write::User(_) => {}
                Write::Contact(row) if self.shared => {
                    if row.status == ContactStatus::Expired {
                        self.last.insert(row.id.clone(), row);
                    }
                }
                Write::ContactGone(id) if self.shared => drop(self.last.remove(&id)),
                Write::Contact(row) => drop(self.rows.insert(row.id.clone(), row)),
                Write::ContactGone(id) => drop(self.rows.remove(&id)),
                Write::Session(row) => {
                    let ended = matches!(row.state, SessionState::Ended(_));
                    let before = self.sessions.insert(row.id.clone(), row.clone());
                    let over = before.map(|before| before.state);
                    assert!(
                        !matches!(over, Some(SessionState::Ended(_))) || ended,
                        "a session came back from its end: {row:?}"
                    );
                    if ended && !self.ended_in_order.contains(&row.id) {
                        self.ended_in_order.push(row.id);
                    }
                }
                Write::Pause(row) if self.people.contains_key(&row.extension) => {
                    self.pauses.insert(row.extension.clone(), row);
                }
                Write::Pause(_) => {}
                Write::PauseGone(extension) => drop(self.pauses.remove(&extension)),
                Write::Ledger(entry) => self.ledger.push(entry),
            }
        }
        true
    }

    /// Somebody has the extension from now on, if nobody has: on a new row, that says of nobody that they are there.
    pub(crate) fn add_person(&mut self, extension: Extension, owner: i64) {
        self.people.entry(extension).or_insert(owner);
    }

    /// As the server removes people: their row goes with all that it says.
    pub(crate) fn remove_person(&mut self, extension: &Extension) {
        self.people.remove(extension);
        self.users.remove(extension);
        self.pauses.remove(extension);
    }

    /// The row of somebody; none of an extension that nobody has.
    pub(crate) fn user(&self, extension: &Extension) -> Option<UserRow> {
        let as_added = || UserRow {
            extension: extension.clone(),
            online: false,
            sip_registered: false,
        };
        let found = || self.users.get(extension).cloned();
        let there = self.people.contains_key(extension);
        there.then(|| found().unwrap_or_else(as_added))
    }

    pub(crate) fn persons(&self) -> Vec<Person> {
        let person = |(extension, owner): (&Extension, &i64)| Person {
            extension: extension.clone(),
            owner: *owner,
        };
        self.people.iter().map(person).collect()
    }

    /// What a server that starts reads.
    pub(crate) fn restored(&self) -> Restored {
        let mut last_ends: BTreeMap<Extension, EndReason> = BTreeMap::new();
        for id in &self.ended_in_order {
            let row = &self.sessions[id];
            if let SessionState::Ended(reason) = row.state {
                last_ends.insert(row.extension.clone(), reason);
            }
        }
        let decided = self.ledger.iter().filter_map(|entry| {
            let of = entry.extension.clone()?;
            let decided = Decided::read(of.clone(), entry.at_unix_ms, &entry.detail)?;
            (entry.what == "status_changed").then_some((of, decided))
        });
        let decided: BTreeMap<_, _> = decided.collect();
        let lives = |row: &&SessionRow| !matches!(row.state, SessionState::Ended(_));
        Restored {
            people: self.persons(),
            users: self
                .people
                .keys()
                .filter_map(|name| self.user(name))
                .collect(),
            sessions: self.sessions.values().filter(lives).cloned().collect(),
            contacts: self.rows.values().cloned().collect(),
            last_ends: last_ends.into_iter().collect(),
            pauses: self.pauses.values().cloned().collect(),
            decided: decided.into_values().collect(),
        }
    }
}
