//! What the phone watches for its person: the lamp of their voicemail, and what other people's lines are doing.

use std::fmt;
use std::time::{Duration, Instant};

use rollcall_sip::package::{Activity, DIALOG, DialogInfo, Lines, MESSAGE_SUMMARY, MessageSummary};
use rollcall_sip::{SubscribeRequest, SubscriptionId};

use crate::driver::Driver;
use crate::link::Link;
use crate::{PhoneEvent, Target};

/// How long a subscription is asked for; the stack renews it.
const EXPIRES: Duration = Duration::from_secs(600);

/// Something that can be watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// Our own mailbox.
    Voicemail,
    /// The line of this number or address, as in [`crate::PhoneCommand::Dial`].
    Line(String),
}

/// Everything that is watched, or will be once the phone is registered.
#[derive(Debug, Default)]
pub(crate) struct Watches(Vec<Watch>);

#[derive(Debug)]
struct Watch {
    subject: Subject,
    /// None until the phone is registered.
    id: Option<SubscriptionId>,
    lines: Lines,
    told: Option<Activity>,
}

impl fmt::Display for Subject {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Voicemail => out.write_str("voicemail"),
            Self::Line(target) => out.write_str(target),
        }
    }
}

impl Watches {
    /// Their dialogs went with the link.
    pub(crate) fn forget_ids(&mut self) {
        for watch in &mut self.0 {
            watch.id = None;
        }
    }
}

impl Driver {
    /// Watches something; what is watched already goes on.
    pub(crate) fn subscribe(&mut self, subject: Subject) {
        if self.watches.0.iter().any(|watch| watch.subject == subject) {
            return;
        }
        self.watches.0.push(Watch {
            subject,
            id: None,
            lines: Lines::default(),
            told: None,
        });
        if self.is_registered() {
            self.begin_watches();
        }
    }

    /// Watches it no longer; `SubscriptionEnded` follows.
    pub(crate) fn unsubscribe(&mut self, subject: &Subject) {
        let Some(at) = self.watches.0.iter().position(|w| w.subject == *subject) else {
            return;
        };
        // At once, not with the notifier's last word: it may be watched anew meanwhile.
        let watch = self.watches.0.remove(at);
        if let (Some(id), Some(link)) = (watch.id, &mut self.link) {
            link.ua.unsubscribe(Instant::now(), id);
        }
        self.tell_unwatched(watch.subject, None);
    }

    /// Ends every subscription, so that no notifier goes on at a phone that is gone.
    pub(crate) fn end_watches(&mut self) {
        for watch in std::mem::take(&mut self.watches.0) {
            if let (Some(id), Some(link)) = (watch.id, &mut self.link) {
                link.ua.unsubscribe(Instant::now(), id);
            }
            // Nobody waits for the notifier's last word before we are gone.
            self.tell_unwatched(watch.subject, None);
        }
    }

    /// Subscribes to what waited for the registration.
    pub(crate) fn begin_watches(&mut self) {
        let Some(link) = &mut self.link else {
            return;
        };
        let mut refused = Vec::new();
        self.watches.0.retain_mut(|watch| {
            if watch.id.is_some() {
                return true;
            }
            match request(&watch.subject, link) {
                Ok(request) => {
                    watch.id = Some(link.ua.subscribe(Instant::now(), request));
                    true
                }
                Err(words) => {
                    refused.push((watch.subject.clone(), words));
                    false
                }
            }
        });
        for (subject, message) in refused {
            self.tell(PhoneEvent::SubscriptionEnded {
                subject,
                sip_code: None,
                message,
            });
        }
    }

    /// News of voicemail or of a line.
    pub(crate) fn handle_notified(
        &mut self,
        id: Option<SubscriptionId>,
        package: &str,
        body: &[u8],
    ) {
        // A notifier that has nothing to say yet sends no body (RFC 6665 section 4.1.3).
        if body.is_empty() {
            return;
        }
        if package.eq_ignore_ascii_case(MESSAGE_SUMMARY) {
            return self.hear_of_voicemail(body);
        }
        let mut watches = self.watches.0.iter_mut();
        let Some(watch) = watches.find(|w| id.is_some() && w.id == id) else {
            return;
        };
        let info = match DialogInfo::parse(body) {
            Ok(info) => info,
            Err(error) => {
                tracing::debug!(%error, "news of a line");
                return;
            }
        };
        let is_whole = watch.lines.apply(info);
        let activity = watch.lines.activity();
        let is_news = watch.told.replace(activity) != Some(activity);
        let target = watch.subject.to_string();
        if let (false, Some(id), Some(link)) = (is_whole, id, &mut self.link) {
            link.ua.refresh_subscription(Instant::now(), id);
        }
        if is_news {
            self.tell(PhoneEvent::Presence { target, activity });
        }
    }

    /// A subscription ended for good.
    pub(crate) fn handle_unsubscribed(&mut self, id: SubscriptionId, code: Option<u16>) {
        if let Some(at) = self.watches.0.iter().position(|w| w.id == Some(id)) {
            let watch = self.watches.0.remove(at);
            self.tell_unwatched(watch.subject, code);
        }
    }

    fn hear_of_voicemail(&mut self, body: &[u8]) {
        match MessageSummary::parse(body) {
            Ok(summary) => self.tell(PhoneEvent::Voicemail {
                waiting: summary.waiting,
                new: summary.voice.map(|count| count.new),
                old: summary.voice.map(|count| count.old),
            }),
            Err(error) => tracing::debug!(%error, "news of voicemail"),
        }
    }

    fn tell_unwatched(&mut self, subject: Subject, sip_code: Option<u16>) {
        let message = match (sip_code, &subject) {
            (None, _) => format!("{subject} is watched no longer."),
            (Some(404), Subject::Voicemail) => {
                "This phone has no mailbox at the telephone server.".to_owned()
            }
            (Some(404), Subject::Line(_)) => {
                format!("The telephone server knows no line {subject} that can be watched.")
            }
            (Some(401 | 403 | 407), _) => {
                format!("The telephone server does not let this phone watch {subject}.")
            }
            (Some(489), _) => {
                format!("The telephone server has no such news as {subject}'s.")
            }
            (Some(code), _) => format!("The telephone server gives no news of {subject} ({code})."),
        };
        self.tell(PhoneEvent::SubscriptionEnded {
            subject,
            sip_code,
            message,
        });
    }
}

/// The subscription to ask for, or why it cannot be.
fn request(subject: &Subject, link: &Link) -> Result<SubscribeRequest, String> {
    let from = link.identity()?;
    let (target, package, accept) = match subject {
        Subject::Voicemail => (
            from.uri.clone(),
            MESSAGE_SUMMARY,
            MessageSummary::CONTENT_TYPE,
        ),
        Subject::Line(target) => {
            let target = Target::parse(target).and_then(|target| target.uri(&link.host));
            let target = target.map_err(|error| format!("{error}."))?;
            (target, DIALOG, DialogInfo::CONTENT_TYPE)
        }
    };
    Ok(SubscribeRequest {
        target,
        destination: link.registrar,
        from,
        package: package.to_owned(),
        accept: accept.to_owned(),
        expires: EXPIRES,
        credentials: Some(link.account.credentials.clone()),
    })
}
