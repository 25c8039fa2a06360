//! `application/dialog-info+xml` (RFC 4235): the only door to the XML reader.
//!
//! Document types, and with them entities of a sender's own making, are refused; everything unknown is passed over.

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};

use super::{MAX_BODY, Unreadable};

/// Dialogs that one phone may have.
const MAX_DIALOGS: usize = 64;
/// Elements within each other; the format itself needs five.
const MAX_DEPTH: usize = 16;
const MALFORMED: Unreadable = Unreadable::Malformed("dialog information");

/// One document: what a notifier says of somebody's dialogs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DialogInfo {
    /// Counts a subscription's documents.
    pub version: u32,
    /// All dialogs are named; else only those that changed.
    pub is_full: bool,
    /// The dialogs.
    pub dialogs: Vec<ObservedDialog>,
}

/// Somebody else's dialog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedDialog {
    /// Names it within the subscription.
    pub id: String,
    /// How far it has come.
    pub state: DialogState,
}

/// How far a dialog has come (section 3.7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialogState {
    /// INVITE is on its way.
    Trying,
    /// A provisional answer without a tag came.
    Proceeding,
    /// It rings.
    Early,
    /// Answered.
    Confirmed,
    /// Over.
    Terminated,
}

/// What somebody's line is doing, as a lamp shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Nothing.
    Idle,
    /// Somebody is being called, or rung.
    Ringing,
    /// Talking.
    Busy,
}

/// All of somebody's dialogs, kept up from one document to the next (section 4.3).
#[derive(Debug, Clone, Default)]
pub struct Lines {
    version: Option<u32>,
    dialogs: Vec<ObservedDialog>,
}

impl Activity {
    /// Stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Ringing => "ringing",
            Self::Busy => "busy",
        }
    }
}

impl Lines {
    /// Takes a document over. False when documents are missing in between, so that a full one has to be asked for; what
    /// this one says is taken all the same, unless it is older than what is known.
    pub fn apply(&mut self, info: DialogInfo) -> bool {
        let next = self.version.map_or(0, |version| version.saturating_add(1));
        if info.is_full {
            self.dialogs = info.dialogs;
        } else if info.version < next {
            return true;
        } else {
            for dialog in info.dialogs {
                self.dialogs.retain(|known| known.id != dialog.id);
                if self.dialogs.len() < MAX_DIALOGS {
                    self.dialogs.push(dialog);
                }
            }
        }
        self.dialogs
            .retain(|dialog| dialog.state != DialogState::Terminated);
        self.version = Some(info.version);
        info.is_full || info.version == next
    }

    /// What the line is doing.
    pub fn activity(&self) -> Activity {
        let any = |state| self.dialogs.iter().any(|dialog| dialog.state == state);
        match self.dialogs.is_empty() {
            true => Activity::Idle,
            false if any(DialogState::Confirmed) => Activity::Busy,
            false => Activity::Ringing,
        }
    }
}

impl DialogInfo {
    /// The media type that [`Self::parse`] reads.
    pub const CONTENT_TYPE: &str = "application/dialog-info+xml";

    /// Reads a body.
    pub fn parse(body: &[u8]) -> Result<Self, Unreadable> {
        if body.len() > MAX_BODY {
            return Err(Unreadable::TooLong);
        }
        let text = std::str::from_utf8(body).map_err(|_| MALFORMED)?;
        let mut reader = Reader::from_str(text);
        let mut reading = Reading::default();
        loop {
            match reader.read_event().map_err(|_| MALFORMED)? {
                Event::Start(element) => {
                    reading.open(&element)?;
                    reading
                        .path
                        .push(element.local_name().into_inner().to_owned());
                }
                Event::Empty(element) => {
                    reading.open(&element)?;
                    reading.close(element.local_name().into_inner());
                }
                Event::End(element) => {
                    reading.path.pop();
                    reading.close(element.local_name().into_inner());
                }
                Event::Text(text) => reading.text(&text.xml10_content()),
                Event::DocType(_) => return Err(MALFORMED),
                Event::Eof => break,
                _ => {}
            }
        }
        reading
            .info
            .filter(|_| reading.path.is_empty())
            .ok_or(MALFORMED)
    }
}

/// A document that is being read.
#[derive(Default)]
struct Reading {
    /// The elements around, from the outermost.
    path: Vec<String>,
    info: Option<DialogInfo>,
    /// The dialog that is open, and its state once it was said.
    dialog: Option<(ObservedDialog, Option<DialogState>)>,
}

impl Reading {
    fn open(&mut self, element: &BytesStart<'_>) -> Result<(), Unreadable> {
        if self.path.len() >= MAX_DEPTH {
            return Err(MALFORMED);
        }
        match (self.path.len(), element.local_name().into_inner()) {
            (0, "dialog-info") if self.info.is_none() => {
                self.info = Some(DialogInfo {
                    version: attribute(element, "version")?
                        .and_then(|version| version.trim().parse().ok())
                        .ok_or(MALFORMED)?,
                    is_full: attribute(element, "state")?.as_deref() != Some("partial"),
                    dialogs: Vec::new(),
                });
            }
            (0, _) => return Err(MALFORMED),
            (1, "dialog") => {
                let known = self.info.as_ref().map_or(0, |info| info.dialogs.len());
                if known >= MAX_DIALOGS {
                    return Err(Unreadable::TooMany);
                }
                let dialog = ObservedDialog {
                    id: attribute(element, "id")?.ok_or(MALFORMED)?,
                    state: DialogState::Trying,
                };
                self.dialog = Some((dialog, None));
            }
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, text: &str) {
        let is_state = self.path.len() == 3 && self.path[2] == "state";
        if let (Some((_, state)), true, false) =
            (&mut self.dialog, is_state, text.trim().is_empty())
        {
            *state = DialogState::named(text.trim());
        }
    }

    /// An element of this name is over; one whose dialog never said its state says nothing.
    fn close(&mut self, name: &str) {
        if (self.path.len(), name) != (1, "dialog") {
            return;
        }
        let dialog = self.dialog.take();
        if let (Some(info), Some((dialog, Some(state)))) = (&mut self.info, dialog) {
            info.dialogs.push(ObservedDialog { state, ..dialog });
        }
    }
}

impl DialogState {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "trying" => Self::Trying,
            "proceeding" => Self::Proceeding,
            "early" => Self::Early,
            "confirmed" => Self::Confirmed,
            "terminated" => Self::Terminated,
            _ => return None,
        })
    }
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Result<Option<String>, Unreadable> {
    let found = element.try_get_attribute(name).map_err(|_| MALFORMED)?;
    let value = found.map(|found| found.normalized_value(XmlVersion::Explicit1_0));
    let value = value.transpose().map_err(|_| MALFORMED)?;
    Ok(value.map(std::borrow::Cow::into_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(version: u32, state: &str, dialogs: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?>\n<dialog-info xmlns=\"urn:ietf:params:xml:ns:dialog-info\" version=\"{version}\" \
             state=\"{state}\" entity=\"sip:alice@example.com\">{dialogs}</dialog-info>"
        )
    }

    fn dialog(id: &str, state: &str) -> String {
        format!("<dialog id=\"{id}\" direction=\"recipient\"><state>{state}</state></dialog>")
    }

    fn read(version: u32, state: &str, dialogs: &str) -> DialogInfo {
        DialogInfo::parse(document(version, state, dialogs).as_bytes()).expect("readable")
    }

    #[test]
    fn a_dialog_is_read_and_what_is_unknown_is_passed_over() {
        let inside = "<dialog id=\"as7&amp;\" call-id=\"a84\" direction=\"initiator\">\
            <state event=\"x\" code=\"180\"> early </state><duration>3</duration>\
            <local><identity>sip:alice@example.com</identity><state>confirmed</state></local>\
            <remote><identity display=\"Bob\">sip:bob@example.org</identity><target uri=\"sip:b@h\"/></remote>\
            </dialog><x:y xmlns:x=\"urn:z\"><dialog id=\"no\"/></x:y><dialog id=\"silent\"/>";
        let info = read(7, "partial", inside);
        let expected = ObservedDialog {
            id: "as7&".into(),
            state: DialogState::Early,
        };
        assert_eq!((info.version, info.is_full), (7, false));
        assert_eq!(info.dialogs, [expected]);
    }

    #[test]
    fn what_is_no_such_document_is_refused_and_bounded() {
        let many = dialog("a", "early").repeat(MAX_DIALOGS + 1);
        let deep = "<a>".repeat(40) + &"</a>".repeat(40);
        let entity = "<!DOCTYPE d [<!ENTITY a \"aaaa\">]>".to_owned() + &document(0, "full", "");
        for bad in [
            "",
            "no XML",
            "<presence/>",
            "<dialog-info/>",
            "<dialog-info version=\"x\"/>",
            "<dialog-info version=\"1\">",
            "<dialog-info version=\"1\"/><dialog-info version=\"2\"/>",
            &document(0, "full", "<dialog/>"),
            &document(0, "full", &deep),
            &entity,
        ] {
            assert_eq!(DialogInfo::parse(bad.as_bytes()), Err(MALFORMED), "{bad}");
        }
        let refused = DialogInfo::parse(document(0, "full", &many).as_bytes());
        assert_eq!(refused, Err(Unreadable::TooMany));
        let long = document(0, "full", &" ".repeat(MAX_BODY));
        assert_eq!(DialogInfo::parse(long.as_bytes()), Err(Unreadable::TooLong));
    }

    #[test]
    fn a_lamp_follows_full_and_partial_documents_and_notices_a_gap() {
        let mut lines = Lines::default();
        assert_eq!(lines.activity(), Activity::Idle);
        assert!(lines.apply(read(0, "full", &dialog("a", "early"))));
        assert_eq!(lines.activity(), Activity::Ringing);
        assert!(lines.apply(read(1, "partial", &dialog("b", "confirmed"))));
        assert_eq!(lines.activity(), Activity::Busy);
        assert!(
            lines.apply(read(1, "partial", &dialog("b", "early"))),
            "old"
        );
        assert_eq!(lines.activity(), Activity::Busy);
        assert!(lines.apply(read(2, "partial", &dialog("b", "terminated"))));
        assert_eq!(lines.activity(), Activity::Ringing);
        assert!(
            !lines.apply(read(9, "partial", &dialog("a", "terminated"))),
            "a gap"
        );
        // A subscription that begins anew counts from nought.
        assert!(lines.apply(read(0, "full", &dialog("c", "confirmed"))));
        assert_eq!(lines.activity(), Activity::Busy);
        assert!(lines.apply(read(1, "full", "")));
        assert_eq!(lines.activity(), Activity::Idle);
    }
}
