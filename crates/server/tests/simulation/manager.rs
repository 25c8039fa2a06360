//! The link between core and PBX: the real manager session over a line that takes its time, and that
//! may double or lose what is only a hint.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use rollcall_alignment::{Contact, Observation, Source};
use rollcall_ami::session::{Output, RequestId, Session, SessionConfig};
use rollcall_ami::{Action, ActionError, Event, Listing};
use rollcall_server::asterisk::observe;

/// What a request was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Contacts(Instant),
    Devices(Instant),
    Channels(Instant),
    Members(Instant),
    Pong,
    Nothing,
}

/// One connection's two ends.
pub(crate) struct Link {
    pub(crate) session: Session,
    pub(crate) ready: bool,
    wanted: BTreeMap<RequestId, Wanted>,
    pub(crate) to_pbx: VecDeque<(Instant, Vec<u8>)>,
    pub(crate) to_core: VecDeque<(Instant, Vec<u8>)>,
}

/// What came of it.
pub(crate) enum Heard {
    Up,
    Seen(Observation),
    Closed,
}

impl Link {
    pub(crate) fn new(now: Instant) -> Self {
        let config = SessionConfig::new("rollcall", "secret");
        Link {
            session: Session::new(config, 7, now),
            ready: false,
            wanted: BTreeMap::new(),
            to_pbx: VecDeque::new(),
            to_core: VecDeque::new(),
        }
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        let lines = [self.to_pbx.front(), self.to_core.front()];
        let lines = lines.into_iter().flatten().map(|(at, _)| *at);
        lines.chain(self.session.poll_timeout()).min()
    }

    pub(crate) fn transmit(&mut self, now: Instant, delay: Duration) {
        while let Some(bytes) = self.session.poll_transmit() {
            self.to_pbx.push_back((now + delay, bytes));
        }
    }

    pub(crate) fn read_lists(&mut self, now: Instant, asked_at: Instant) {
        let lists = [
            (Action::show_contacts(), Wanted::Contacts(asked_at)),
            (Action::device_state_list(), Wanted::Devices(asked_at)),
            (Action::show_channels(), Wanted::Channels(asked_at)),
            (Action::queue_status(), Wanted::Members(asked_at)),
        ];
        for (action, wanted) in lists {
            let id = self.session.list(now, action);
            self.wanted.insert(id, wanted);
        }
        let id = self.session.request(now, Action::ping());
        self.wanted.insert(id, Wanted::Pong);
    }

    pub(crate) fn act(&mut self, now: Instant, action: Action) {
        let id = self.session.request(now, action);
        self.wanted.insert(id, Wanted::Nothing);
    }

    pub(crate) fn hear(&mut self, unix_ms: u64) -> Option<Heard> {
        loop {
            let heard = match self.session.poll_output()? {
                Output::Ready => {
                    self.ready = true;
                    Some(Heard::Up)
                }
                Output::Event(event) => observe::reported(*event).map(Heard::Seen),
                Output::Answered(id, answer) => match (self.wanted.remove(&id), answer) {
                    (Some(Wanted::Pong), Ok(pong)) => {
                        let theirs: Option<f64> = pong
                            .packet
                            .get("Timestamp")
                            .and_then(|text| text.parse().ok());
                        #[allow(clippy::cast_possible_truncation)]
                        let offset = theirs.map(|seconds| {
                            (seconds * 1000.0) as i64 - i64::try_from(unix_ms).unwrap()
                        });
                        offset.map(|offset_ms| {
                            let source = Source::Ami;
                            Heard::Seen(Observation::ClockOffset { source, offset_ms })
                        })
                    }
                    _ => None,
                },
                Output::Listed(id, listing) => {
                    let wanted = self.wanted.remove(&id);
                    wanted
                        .and_then(|wanted| listed(wanted, listing))
                        .map(Heard::Seen)
                }
                Output::Closed(_) => Some(Heard::Closed),
            };
            if heard.is_some() {
                return heard;
            }
        }
    }
}

fn listed(wanted: Wanted, listing: Result<Listing, ActionError>) -> Option<Observation> {
    let items: Vec<Event> = match listing {
        Ok(Listing::Items(items)) => items,
        Ok(Listing::NoneFound { .. }) => Vec::new(),
        Err(_) => return None,
    };
    Some(match wanted {
        Wanted::Contacts(asked_at) => {
            let contacts: Vec<Contact> = items.iter().filter_map(observe::listed_contact).collect();
            Observation::Contacts {
                asked_at,
                contacts,
                empty_is_proved: true,
            }
        }
        Wanted::Devices(asked_at) => Observation::Devices {
            asked_at,
            states: items.iter().filter_map(observe::listed_device).collect(),
        },
        Wanted::Channels(asked_at) => Observation::Channels {
            asked_at,
            channels: items.iter().filter_map(observe::listed_channel).collect(),
        },
        Wanted::Members(asked_at) => Observation::Members {
            asked_at,
            members: items.iter().filter_map(observe::listed_member).collect(),
        },
        Wanted::Pong | Wanted::Nothing => return None,
    })
}
