//! `ps_contacts`, and whose it is: a copy of ours, Asterisk's own with a column of ours, or what apps claim.

use rand::Rng;
use rand::rngs::StdRng;
use rollcall_alignment::*;
use rollcall_pocket_pbx::pbx::HeldContact;

use crate::world::World;

/// Whose the contacts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Mirror,
    Shared,
    Claims,
}

impl Mode {
    pub(crate) fn draw(rng: &mut StdRng) -> Self {
        match rng.random_range(0..10) {
            0..5 => Mode::Mirror,
            5..9 => Mode::Shared,
            _ => Mode::Claims,
        }
    }
}

impl World {
    /// What Asterisk has stored and holds, of everybody.
    pub(crate) fn contacts(&self) -> Vec<HeldContact> {
        match &self.pbx {
            Some(pbx) => pbx.contacts().collect(),
            None => self.kept.clone(),
        }
    }

    /// Reads the table as it is now: where it is Asterisk's own, what that wrote stands in it, with our column.
    pub(crate) fn read_table(&mut self) {
        if self.mode != Mode::Shared {
            return;
        }
        let mut rows = self.db.last.clone();
        let stored = self.contacts().into_iter().filter(|held| held.in_table);
        rows.extend(stored.map(|held| {
            let endpoint = Extension::new(&held.endpoint).unwrap();
            let row = ContactRow {
                id: ContactId::of(&endpoint, &held.uri),
                endpoint,
                uri: held.uri,
                user_agent: held.user_agent,
                expires_unix: held.expires_unix,
                qualify_frequency: self.qualify_frequency,
                reg_server: String::new(),
                status: ContactStatus::from_word(&held.column.unwrap_or_default()),
            };
            (row.id.clone(), row)
        }));
        self.db.rows = rows;
    }

    /// One transaction of ours; false if it could not be made.
    pub(crate) fn make(&mut self, writes: Vec<Write>) -> bool {
        if self.mode == Mode::Shared && !self.db.down {
            for write in &writes {
                if let Write::Contact(row) = write {
                    self.write_column(row);
                }
            }
        }
        self.db.make(writes)
    }

    fn write_column(&mut self, row: &ContactRow) {
        if let Some(pbx) = &mut self.pbx {
            let id = rollcall_ami::ContactId::new(row.id.as_str());
            return pbx.write_column(&id, row.status.as_str());
        }
        let is_it = |held: &&mut HeldContact| {
            held.endpoint == row.endpoint.as_str()
                && ContactId::of(&row.endpoint, &held.uri) == row.id
        };
        if let Some(held) = self.kept.iter_mut().find(is_it) {
            held.column = Some(row.status.as_str().to_owned());
        }
    }
}
