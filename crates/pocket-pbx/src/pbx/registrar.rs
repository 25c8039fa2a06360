//! The stored contacts and the rules of REGISTER (RFC 3261 section 10.3), with Asterisk's own ways.
//!
//! Owns which contacts exist and until when. It sends nothing and tells nobody: each operation returns what changed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use md5::{Digest as _, Md5};
use rollcall_ami::{ContactId, ContactStatus};
use rollcall_sip::NameAddr;
use rollcall_sip::message::{HeadersView, Host, HostWithPort, Request, Uri, uri_text};

use crate::config::AorPolicy;

/// A contact as Asterisk stores it.
#[derive(Debug, Clone)]
pub(crate) struct StoredContact {
    pub(crate) id: ContactId,
    pub(crate) uri: Uri,
    /// `uri` as text; its MD5 is in the id (F1).
    pub(crate) uri_text: String,
    /// Where the REGISTER came from, and so where requests go (`rewrite_contact=yes`, F16).
    pub(crate) source: SocketAddr,
    pub(crate) expires_at: Instant,
    pub(crate) user_agent: String,
    /// Of the first REGISTER; refreshes do not change it (F13).
    pub(crate) call_id: String,
    pub(crate) status: ContactStatus,
    pub(crate) round_trip: Option<Duration>,
    /// When OPTIONS goes out next.
    pub(crate) qualify_at: Option<Instant>,
    /// Its row is in the table. Without it no list names it and nobody dials it, until its owner registers again (F5).
    pub(crate) in_table: bool,
    /// Asterisk knows of it by more than its row: it is qualified, and counts for the device's state (F15).
    pub(crate) in_memory: bool,
    /// What stands in the column that somebody added to the table.
    pub(crate) column: Option<String>,
    pub(crate) registered_at: Instant,
}

/// What a REGISTER or a sweep did.
#[derive(Debug)]
pub(crate) enum Change {
    /// A contact that was not there before.
    Added(ContactId),
    /// A contact is gone.
    Removed(Box<StoredContact>),
}

/// Why a REGISTER is refused, as a SIP response code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RefusedWith(pub(crate) u16);

/// The contacts of all addresses of record.
#[derive(Debug)]
pub(crate) struct Registrar {
    policy: AorPolicy,
    aors: BTreeMap<String, Vec<StoredContact>>,
}

/// What a REGISTER asks of one contact.
struct Binding {
    uri: Uri,
    uri_text: String,
    expires: Duration,
}

impl Registrar {
    pub(crate) fn new(policy: AorPolicy, aors: impl IntoIterator<Item = String>) -> Self {
        Self {
            policy,
            aors: aors.into_iter().map(|aor| (aor, Vec::new())).collect(),
        }
    }

    /// Applies an authenticated REGISTER.
    pub(crate) fn register(
        &mut self,
        now: Instant,
        aor: &str,
        request: &Request,
        source: SocketAddr,
    ) -> Result<Vec<Change>, RefusedWith> {
        let policy = self.policy.clone();
        let contacts = self.aors.get_mut(aor).ok_or(RefusedWith(404))?;
        if request.headers.text("Contact") == Some("*") {
            return match request.headers.seconds("Expires") {
                Some(Duration::ZERO) => Ok(contacts.drain(..).map(removed).collect()),
                _ => Err(RefusedWith(400)),
            };
        }
        let bindings = bindings(&policy, request, source)?;
        let mut changes = make_room(&policy, contacts, &bindings)?;
        for binding in bindings {
            changes.extend(bind(&policy, now, aor, contacts, binding, request, source));
        }
        Ok(changes)
    }

    /// The Contact values of a 200 to REGISTER: every contact with the seconds it has left.
    pub(crate) fn contact_headers(&self, now: Instant, aor: &str) -> Vec<String> {
        let header = |contact: &StoredContact| {
            let left = contact
                .expires_at
                .saturating_duration_since(now)
                .as_secs_f64()
                .ceil();
            format!("<{}>;expires={left}", contact.uri_text)
        };
        self.contacts(aor)
            .iter()
            .filter(|contact| contact.in_table)
            .map(header)
            .collect()
    }

    /// Removes what has expired.
    pub(crate) fn sweep(&mut self, now: Instant) -> Vec<(String, StoredContact)> {
        let mut swept = Vec::new();
        for (aor, contacts) in &mut self.aors {
            let (gone, kept) = contacts
                .drain(..)
                .partition(|contact| contact.in_table && contact.expires_at <= now);
            *contacts = kept;
            swept.extend(Vec::into_iter(gone).map(|contact| (aor.clone(), contact)));
        }
        swept
    }

    pub(crate) fn contacts(&self, aor: &str) -> &[StoredContact] {
        self.aors.get(aor).map(Vec::as_slice).unwrap_or_default()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &StoredContact)> {
        self.aors
            .iter()
            .flat_map(|(aor, contacts)| contacts.iter().map(move |contact| (aor.as_str(), contact)))
    }

    /// Those whose rows are in the table.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&str, &StoredContact)> {
        self.all().filter(|(_, contact)| contact.in_table)
    }

    pub(crate) fn all_mut(&mut self) -> impl Iterator<Item = &mut StoredContact> {
        self.aors.values_mut().flatten()
    }

    pub(crate) fn contacts_mut(&mut self, aor: &str) -> Option<&mut Vec<StoredContact>> {
        self.aors.get_mut(aor)
    }

    pub(crate) fn find_mut(&mut self, id: &ContactId) -> Option<&mut StoredContact> {
        self.aors
            .get_mut(id.aor())?
            .iter_mut()
            .find(|contact| contact.id == *id)
    }
}

fn removed(contact: StoredContact) -> Change {
    Change::Removed(Box::new(contact))
}

fn bindings(
    policy: &AorPolicy,
    request: &Request,
    source: SocketAddr,
) -> Result<Vec<Binding>, RefusedWith> {
    let of_request = request.headers.seconds("Expires");
    let mut bindings = Vec::new();
    for value in request.headers.texts("Contact") {
        let contact = NameAddr::parse(value).map_err(|_| RefusedWith(400))?;
        let of_contact = contact
            .params
            .get("expires")
            .and_then(|text| text.parse().ok())
            .map(Duration::from_secs);
        // Of several only the first is rewritten.
        let uri = match bindings.is_empty() {
            true => rewritten(contact.uri, source),
            false => contact.uri,
        };
        let expires = negotiated(policy, of_contact.or(of_request));
        bindings.push(Binding {
            uri_text: uri_text(&uri),
            uri,
            expires,
        });
    }
    Ok(bindings)
}

/// `rewrite_contact=yes`: the user part stays, host and port become what the REGISTER came from (F16).
fn rewritten(uri: Uri, source: SocketAddr) -> Uri {
    let host_with_port = HostWithPort {
        host: Host::IpAddr(source.ip()),
        port: Some(source.port().into()),
    };
    Uri {
        host_with_port,
        ..uri
    }
}

/// Zero stays zero; anything else is brought between the limits without a 423.
fn negotiated(policy: &AorPolicy, wanted: Option<Duration>) -> Duration {
    match wanted {
        Some(Duration::ZERO) => Duration::ZERO,
        wanted => {
            let seconds = wanted.map_or(u64::from(policy.default_expiration), |wanted| {
                wanted.as_secs()
            });
            Duration::from_secs(seconds.clamp(
                policy.minimum_expiration.into(),
                policy.maximum_expiration.into(),
            ))
        }
    }
}

/// Refuses what would exceed `max_contacts`, or removes the oldest for it (F11).
fn make_room(
    policy: &AorPolicy,
    contacts: &mut Vec<StoredContact>,
    bindings: &[Binding],
) -> Result<Vec<Change>, RefusedWith> {
    let is_bound = |text: &str| contacts.iter().any(|contact| contact.uri_text == text);
    let named = |contact: &StoredContact| {
        bindings
            .iter()
            .any(|binding| binding.uri_text == contact.uri_text)
    };
    let new = bindings
        .iter()
        .filter(|binding| !binding.expires.is_zero() && !is_bound(&binding.uri_text))
        .count();
    let leaving = bindings
        .iter()
        .filter(|binding| binding.expires.is_zero() && is_bound(&binding.uri_text))
        .count();
    let stored = contacts.iter().filter(|contact| contact.in_table).count();
    let excess = (stored + new).saturating_sub(leaving + policy.max_contacts);
    if excess == 0 {
        return Ok(Vec::new());
    }
    let mut oldest: Vec<_> = contacts
        .iter()
        .filter(|contact| contact.in_table && !named(contact))
        .map(|contact| (contact.registered_at, contact.id.clone()))
        .collect();
    if !policy.remove_existing || oldest.len() < excess {
        return Err(RefusedWith(403));
    }
    oldest.sort();
    let going: Vec<ContactId> = oldest.into_iter().take(excess).map(|(_, id)| id).collect();
    let (gone, kept) = contacts
        .drain(..)
        .partition(|contact| going.contains(&contact.id));
    *contacts = kept;
    Ok(Vec::into_iter(gone).map(removed).collect())
}

fn bind(
    policy: &AorPolicy,
    now: Instant,
    aor: &str,
    contacts: &mut Vec<StoredContact>,
    binding: Binding,
    request: &Request,
    source: SocketAddr,
) -> Option<Change> {
    let bound = contacts
        .iter()
        .position(|contact| contact.uri_text == binding.uri_text);
    let user_agent = request
        .headers
        .text("User-Agent")
        .unwrap_or_default()
        .to_owned();
    match bound.and_then(|at| contacts.get_mut(at).map(|contact| (at, contact))) {
        Some((at, _)) if binding.expires.is_zero() => Some(removed(contacts.remove(at))),
        Some((_, contact)) => {
            contact.expires_at = now + binding.expires;
            if !contact.in_table {
                (contact.in_table, contact.column) = (true, None);
            }
            contact.in_memory = true;
            contact.user_agent = user_agent;
            contact.source = source;
            None
        }
        None if binding.expires.is_zero() => None,
        None => {
            let id = ContactId::new(&format!("{aor};@{:x}", Md5::digest(&binding.uri_text)));
            contacts.push(StoredContact {
                id: id.clone(),
                uri: binding.uri,
                uri_text: binding.uri_text,
                source,
                expires_at: now + binding.expires,
                user_agent,
                call_id: request
                    .headers
                    .text("Call-ID")
                    .unwrap_or_default()
                    .to_owned(),
                status: ContactStatus::NonQualified,
                round_trip: None,
                qualify_at: (policy.qualify_frequency > 0).then_some(now),
                in_table: true,
                in_memory: true,
                column: None,
                registered_at: now,
            });
            Some(Change::Added(id))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollcall_sip::Message;

    const SOURCE: &str = "127.0.0.1:25101";

    fn request(headers: &str) -> Request {
        let text = format!(
            "REGISTER sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {SOURCE};branch=z9hG4bK1\r\nFrom: <sip:1001@h>;tag=a\r\n\
             To: <sip:1001@h>\r\nCall-ID: c1\r\nCSeq: 1 REGISTER\r\nUser-Agent: Phone/1 (device d1)\r\n{headers}Content-Length: 0\r\n\r\n"
        );
        match rollcall_sip::parse(text.as_bytes()) {
            Ok(Message::Request(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    fn registrar(policy: AorPolicy) -> Registrar {
        Registrar::new(policy, ["1001".to_owned()])
    }

    fn register(
        registrar: &mut Registrar,
        now: Instant,
        headers: &str,
    ) -> Result<Vec<Change>, RefusedWith> {
        registrar.register(now, "1001", &request(headers), SOURCE.parse().unwrap())
    }

    #[test]
    fn a_contact_is_named_by_the_md5_of_its_stored_uri() {
        let mut registrar = registrar(AorPolicy::default());
        let contact = "Contact: <sip:1001-0x55a48b3842f0@127.0.0.1:25101>\r\n";
        register(&mut registrar, Instant::now(), contact).unwrap();
        assert_eq!(
            registrar.contacts("1001")[0].id.as_str(),
            "1001;@fdcb0da3e00471fbd053abeab6f8ec13"
        );
    }

    #[test]
    fn host_and_port_of_a_contact_become_those_the_register_came_from() {
        let mut registrar = registrar(AorPolicy::default());
        register(
            &mut registrar,
            Instant::now(),
            "Contact: <sip:1001-a@192.168.1.9:5060>\r\n",
        )
        .unwrap();
        assert_eq!(
            registrar.contacts("1001")[0].uri_text,
            "sip:1001-a@127.0.0.1:25101"
        );
    }

    #[test]
    fn an_expiry_below_the_minimum_is_raised_and_one_above_the_maximum_cut() {
        let now = Instant::now();
        let mut registrar = registrar(AorPolicy::default());
        register(&mut registrar, now, "Contact: <sip:1001-a@h>;expires=1\r\n").unwrap();
        register(
            &mut registrar,
            now,
            "Contact: <sip:1001-b@h>\r\nExpires: 999999\r\n",
        )
        .unwrap();
        register(&mut registrar, now, "Contact: <sip:1001-c@h>\r\n").unwrap();
        assert_eq!(
            registrar.contact_headers(now, "1001"),
            [
                "<sip:1001-a@127.0.0.1:25101>;expires=10",
                "<sip:1001-b@127.0.0.1:25101>;expires=7200",
                "<sip:1001-c@127.0.0.1:25101>;expires=120"
            ]
        );
    }

    #[test]
    fn a_refresh_changes_nothing_but_the_expiry_and_the_user_agent() {
        let now = Instant::now();
        let later = now + Duration::from_secs(60);
        let mut registrar = registrar(AorPolicy::default());
        register(&mut registrar, now, "Contact: <sip:1001-a@h>\r\n").unwrap();
        let changes = register(&mut registrar, later, "Contact: <sip:1001-a@h>\r\n").unwrap();
        assert!(changes.is_empty(), "{changes:?}");
        assert_eq!(
            registrar.contacts("1001")[0].expires_at,
            later + Duration::from_secs(120)
        );
    }

    #[test]
    fn one_contact_too_many_is_forbidden_unless_the_oldest_may_go() {
        let now = Instant::now();
        let mut policy = AorPolicy {
            max_contacts: 1,
            remove_existing: false,
            ..AorPolicy::default()
        };
        let mut strict = registrar(policy.clone());
        register(&mut strict, now, "Contact: <sip:1001-a@h>\r\n").unwrap();
        assert_eq!(
            register(&mut strict, now, "Contact: <sip:1001-b@h>\r\n").unwrap_err(),
            RefusedWith(403)
        );
        assert_eq!(strict.contacts("1001").len(), 1);

        policy.remove_existing = true;
        let mut lenient = registrar(policy);
        register(&mut lenient, now, "Contact: <sip:1001-a@h>\r\n").unwrap();
        let changes = register(&mut lenient, now, "Contact: <sip:1001-b@h>\r\n").unwrap();
        assert!(
            matches!(changes.as_slice(), [Change::Removed(gone), Change::Added(_)] if gone.uri_text.contains("1001-a"))
        );
    }

    #[test]
    fn expires_zero_removes_one_contact_and_a_star_removes_all() {
        let now = Instant::now();
        let mut registrar = registrar(AorPolicy::default());
        for name in ["a", "b", "c"] {
            register(
                &mut registrar,
                now,
                &format!("Contact: <sip:1001-{name}@h>\r\n"),
            )
            .unwrap();
        }
        let changes =
            register(&mut registrar, now, "Contact: <sip:1001-b@h>;expires=0\r\n").unwrap();
        assert!(
            matches!(changes.as_slice(), [Change::Removed(gone)] if gone.uri_text.contains("1001-b"))
        );
        assert_eq!(
            register(&mut registrar, now, "Contact: *\r\nExpires: 60\r\n").unwrap_err(),
            RefusedWith(400)
        );
        assert_eq!(
            register(&mut registrar, now, "Contact: *\r\nExpires: 0\r\n")
                .unwrap()
                .len(),
            2
        );
        assert!(registrar.contacts("1001").is_empty());
    }

    #[test]
    fn a_register_without_a_contact_asks_and_changes_nothing() {
        let now = Instant::now();
        let mut registrar = registrar(AorPolicy::default());
        register(&mut registrar, now, "Contact: <sip:1001-a@h>\r\n").unwrap();
        assert!(register(&mut registrar, now, "").unwrap().is_empty());
        assert_eq!(registrar.contact_headers(now, "1001").len(), 1);
    }

    #[test]
    fn a_contact_lives_until_the_sweep_after_its_expiry() {
        let now = Instant::now();
        let mut registrar = registrar(AorPolicy::default());
        register(
            &mut registrar,
            now,
            "Contact: <sip:1001-a@h>;expires=30\r\n",
        )
        .unwrap();
        assert!(registrar.sweep(now + Duration::from_secs(29)).is_empty());
        let swept = registrar.sweep(now + Duration::from_secs(30));
        assert!(matches!(swept.as_slice(), [(aor, _)] if aor == "1001"));
    }
}
