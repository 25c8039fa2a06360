//! Faults: the situations in which the views can disagree, each with its beginning and its end.

use rand::Rng;
use rand::rngs::StdRng;
use rollcall_alignment::*;
use rollcall_testkit::Conditions;

use crate::app::Will;
use crate::table::Mode;
use crate::world::{EXTENSIONS, Mail, SECOND, World};

/// In the user part of a contact that somebody inserts by SQL.
pub(crate) const FORGED: &str = "forged";

/// Some last longer than they were drawn for: a network that flaps does so to its end.
pub(crate) const AT_LEAST: std::time::Duration = std::time::Duration::from_secs(9);

/// How many seconds after its end the views may still differ, when nothing else fails.
pub(crate) fn agreed_within(situation: u8) -> u64 {
    match situation {
        // A phone that could not register tries again within a minute; a contact that is out of reach stays until its
        // expiry, and Asterisk's next check of those.
        3 | 4 | 6 | 8 | 27 => 90,
        // No event tells of it: the next full list does, or the one after that.
        11 | 21..=23 | 25 | 29 => 90,
        // A lease, a qualify, and Asterisk's check of expired contacts.
        _ => 30,
    }
}

/// A fault, at an app where it is one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) situation: u8,
    app: usize,
}

impl Fault {
    pub(crate) fn draw(rng: &mut StdRng, apps: usize) -> Self {
        Fault {
            situation: rng.random_range(1..=32),
            app: rng.random_range(0..apps),
        }
    }

    pub(crate) fn begin(self, world: &mut World) {
        let now = world.now.monotonic;
        if [11, 21, 22].contains(&self.situation) {
            world.truth.untold = Some(now);
        }
        let app = &mut world.apps[self.app];
        match self.situation {
            1 => {
                app.running = false;
                let lost = app.session.clone().zip(app.link.take());
                if let Some((session, link)) = lost {
                    world.post(
                        std::time::Duration::from_millis(30),
                        Mail::Closed(session, link),
                    );
                }
            }
            2 => app.frozen = true,
            3 => {
                app.ua.unregister(now);
                app.network = false;
            }
            4 => app.network = false,
            5 => app.to_server = false,
            6 => app.to_pbx = false,
            7 => world.kill_server(),
            8 => world.stop_pbx(),
            9 => {
                world.ami_cut = true;
                world.lose_link();
            }
            10 => {
                world.db.down = true;
                world.see(Observation::DatabaseSilent);
            }
            11 => world.step_clock(45),
            // A second device of the first extension, and the same person twice.
            12 | 13 => {
                world.apps[0].will = Will::In;
                world.apps[3].will = Will::In;
                world.apps[3].takes_over = self.situation == 13;
            }
            14 => {
                if let Some(session) = app.session.clone() {
                    world.see(Observation::SessionExpired(session));
                }
            }
            // It says that it is online before its phone is registered, which takes a while.
            15 => {
                app.restart(self.app, now);
                (app.will, app.hasty, app.to_pbx) = (Will::In, true, false);
            }
            // Its phone is registered, and the server does not hear of it.
            16 => {
                app.restart(self.app, now);
                (app.will, app.to_server) = (Will::In, false);
            }
            18 => {
                if app.online && app.call.is_none() {
                    app.dial(now, "600", std::time::Duration::from_secs(20));
                }
                world.post(SECOND, Mail::Leaves(self.app));
            }
            17 => world.apps[4].will = Will::In,
            // The logout, and its answer, go astray for a while.
            19 => {
                app.will = Will::Out;
                app.to_server = false;
            }
            20 => {
                let extension = app.extension.clone();
                let by = SessionId::new("supervisor").unwrap();
                let forced = Intent::ForceLogout {
                    extension,
                    device: None,
                    end_calls: false,
                    by: by.clone(),
                };
                world.intend(self.app, by, forced);
            }
            21 => {
                let extension = app.extension.clone();
                if let Some(pbx) = &mut world.pbx {
                    let of_agent: Vec<_> = pbx
                        .contacts()
                        .filter(|held| held.endpoint == extension.as_str())
                        .map(|held| ContactId::of(&extension, &held.uri))
                        .collect();
                    for id in of_agent {
                        pbx.expire_row(&rollcall_ami::ContactId::new(id.as_str()));
                    }
                }
            }
            // What was claimed while nobody can be asked is nowhere else.
            22 if world.mode == Mode::Claims => {}
            22 => {
                let extension = app.extension.clone();
                if let (Mode::Shared, Some(pbx)) = (world.mode, &mut world.pbx) {
                    pbx.delete_rows(extension.as_str());
                }
                world.db.rows.retain(|_, row| row.endpoint != extension);
            }
            23 => {
                let extension = app.extension.clone();
                let uri = format!("sip:{extension}-{FORGED}@192.0.2.9");
                world.row_was_forged();
                if let (Mode::Shared, Some(pbx)) = (world.mode, &mut world.pbx) {
                    let hour = std::time::Duration::from_secs(3600);
                    return pbx.insert_row(now, extension.as_str(), &uri, hour);
                }
                let row = ContactRow {
                    id: ContactId::of(&extension, &uri),
                    endpoint: extension,
                    uri,
                    user_agent: String::new(),
                    expires_unix: world.now.unix_seconds() + 3600,
                    qualify_frequency: 0,
                    reg_server: String::new(),
                    status: ContactStatus::Reachable,
                };
                world.db.rows.insert(row.id.clone(), row);
            }
            24 => {
                let extension = app.extension.clone();
                let owner = world.db.people.get(&extension).copied().unwrap_or_default();
                // Somebody else is somebody else's row: of the last one's nothing is left.
                world.remove_person(&extension);
                world.db.add_person(extension, owner + 10);
                let people = world.db.persons();
                world.see(Observation::People(people));
            }
            25 if world.mode == Mode::Shared => {
                let held = world.contacts();
                if let Some(pbx) = &mut world.pbx {
                    for held in held {
                        let extension = Extension::new(&held.endpoint).unwrap();
                        let id = ContactId::of(&extension, &held.uri);
                        pbx.write_column(&rollcall_ami::ContactId::new(id.as_str()), "Unknown");
                    }
                }
            }
            25 => {
                for row in world.db.rows.values_mut() {
                    row.status = ContactStatus::Unknown;
                    row.expires_unix = 1;
                }
            }
            26 => {
                let extension = app.extension.clone();
                world.remove_person(&extension);
                let people = world.db.persons();
                world.see(Observation::People(people));
            }
            27 => app.rebind(self.app),
            28 => world.hints_doubled = 0.5,
            29 => world.hints_lost = 0.5,
            31 => app.microphone = false,
            32 => flap(self.app, world),
            // 30 is how the PBX of some houses is set up.
            _ => {}
        }
    }

    pub(crate) fn end(self, world: &mut World) {
        let now = world.now.monotonic;
        if self.situation == 11 {
            world.truth.untold = Some(now);
        }
        let app = &mut world.apps[self.app];
        match self.situation {
            1 if !app.running => app.restart(self.app, now),
            2 => {
                app.frozen = false;
                app.turn = now;
            }
            3 | 4 => app.network = true,
            5 | 16 | 19 => app.to_server = true,
            6 => app.to_pbx = true,
            11 => world.step_clock(-45),
            15 => (app.hasty, app.to_pbx) = (false, true),
            7 => world.start_server(),
            8 if world.pbx.is_none() => world.start_pbx(),
            9 => world.ami_cut = false,
            10 => world.db.down = false,
            26 => {
                let extension = app.extension.clone();
                let place = EXTENSIONS
                    .iter()
                    .position(|name| *name == extension.as_str());
                let owner = i64::try_from(place.unwrap_or_default()).unwrap();
                world.db.add_person(extension, owner);
                let people = world.db.persons();
                world.see(Observation::People(people));
            }
            28 => world.hints_doubled = 0.0,
            29 => world.hints_lost = 0.0,
            31 => app.microphone = true,
            _ => {}
        }
    }
}

/// The network of an app comes and goes, from one second to the next.
fn flap(app: usize, world: &mut World) {
    for second in 0..8 {
        let fault = Fault { situation: 4, app };
        let at = std::time::Duration::from_millis(second * 1_000);
        world.post(at, Mail::Begins(fault));
        world.post(
            at + std::time::Duration::from_millis(600),
            Mail::Ends(fault),
        );
    }
}

/// Nobody wants anything new, what they have is over, and nothing more is lost on the way.
pub(crate) fn calm_down(world: &mut World) {
    let now = world.now.monotonic;
    world.calm = true;
    world.network.set_conditions(Conditions::default());
    for app in &mut world.apps {
        app.hang_up(now);
    }
    if let Some(pbx) = &mut world.pbx {
        // Of calls whose phones were started anew nobody else knows.
        pbx.hang_up_all(now);
    }
}

/// Nothing is broken any more.
pub(crate) fn heal_all(world: &mut World) {
    world.db.down = false;
    world.ami_cut = false;
    (world.hints_lost, world.hints_doubled) = (0.0, 0.0);
    if world.pbx.is_none() {
        world.start_pbx();
    }
    world.start_server();
    for (place, name) in EXTENSIONS.iter().enumerate() {
        let owner = i64::try_from(place).unwrap();
        let extension = Extension::new(name).unwrap();
        world.db.add_person(extension, owner);
    }
    let people = world.db.persons();
    world.see(Observation::People(people));
    let now = world.now.monotonic;
    for place in 0..world.apps.len() {
        let app = &mut world.apps[place];
        (app.network, app.to_server, app.to_pbx, app.microphone) = (true, true, true, true);
        if !app.running {
            app.restart(place, now);
        }
        app.frozen = false;
        app.hasty = false;
        app.turn = now;
    }
}
