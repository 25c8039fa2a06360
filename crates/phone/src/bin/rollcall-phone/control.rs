//! Commands to a running phone, one a line.
//!
//! ```text
//! dial NUMBER                hold [CALL]            transfer NUMBER [CALL]
//! answer [CALL]              resume [CALL]          connect CALL OTHER
//! decline [CALL]             dtmf DIGITS [CALL]     refer-to ADDRESS [CALL]
//! hangup [CALL]              mute, unmute           refresh, quit
//! join, part                subscribe voicemail, subscribe NUMBER; unsubscribe the same
//! audio DEVICES              move-to ADDRESS
//! ```
//!
//! CALL is the number that the events name; without it the only call is meant. DEVICES is what `--audio` takes. ADDRESS is one
//! of this computer's: the phone is there from then on, with its registration and its calls.

use std::net::{IpAddr, UdpSocket};

use rollcall_phone::{AudioChoice, CallRef, PhoneCommand, PhoneEvent, Subject, digits};

/// Every command and how it is written.
const WORDS: &str = "dial, answer, decline, hangup, hold, resume, mute, unmute, join, part, dtmf, transfer, connect, refer-to, \
                     audio, subscribe, unsubscribe, move-to, refresh, quit";

/// The calls that a command can mean.
#[derive(Debug, Default)]
pub(crate) struct Calls(Vec<CallRef>);

impl Calls {
    /// Follows what the phone tells.
    pub(crate) fn note(&mut self, event: &PhoneEvent) {
        match event {
            PhoneEvent::Incoming { call, .. } | PhoneEvent::Dialing { call } => self.0.push(*call),
            PhoneEvent::Ended { call, .. } => self.0.retain(|own| own != call),
            _ => {}
        }
    }

    /// The call of this number, or the only one.
    fn named(&self, number: Option<&str>) -> Result<CallRef, String> {
        let Some(number) = number else {
            return match self.0.as_slice() {
                [call] => Ok(*call),
                [] => Err("there is no call".to_owned()),
                _ => Err("there are several calls: name one by its number".to_owned()),
            };
        };
        let named = number.parse().ok().map(CallRef);
        named
            .filter(|call| self.0.contains(call))
            .ok_or_else(|| format!("there is no call {number:?}"))
    }
}

/// Reads a line; nothing from an empty one.
pub(crate) fn command(line: &str, calls: &Calls) -> Result<Option<PhoneCommand>, String> {
    let mut words = line.split_whitespace();
    let Some(verb) = words.next() else {
        return Ok(None);
    };
    let rest: Vec<&str> = words.collect();
    let need = |count: usize| match rest.get(count - 1) {
        Some(word) => Ok((*word).to_owned()),
        None if count == 1 => Err(format!("{verb} needs a word more")),
        None => Err(format!("{verb} needs {count} words more")),
    };
    let call = |index: usize| calls.named(rest.get(index).copied());
    let (command, most) = match verb {
        "dial" => {
            let call = CallRef::fresh();
            let target = need(1)?;
            (PhoneCommand::Dial { call, target }, 1)
        }
        "answer" => (PhoneCommand::Answer(call(0)?), 1),
        "decline" => (PhoneCommand::Decline(call(0)?), 1),
        "hangup" => (PhoneCommand::Hangup(call(0)?), 1),
        "hold" => (PhoneCommand::Hold(call(0)?), 1),
        "resume" => (PhoneCommand::Resume(call(0)?), 1),
        "mute" => (PhoneCommand::SetMuted(true), 0),
        "unmute" => (PhoneCommand::SetMuted(false), 0),
        "join" => (PhoneCommand::SetJoined(true), 0),
        "part" => (PhoneCommand::SetJoined(false), 0),
        "dtmf" => {
            let digits = digits(&need(1)?).map_err(|error| error.to_string())?;
            let call = call(1)?;
            (PhoneCommand::Dtmf { call, digits }, 2)
        }
        "transfer" => {
            let (target, call) = (need(1)?, call(1)?);
            (PhoneCommand::Transfer { call, target }, 2)
        }
        "connect" => {
            let (call, other) = (calls.named(Some(&need(1)?))?, calls.named(Some(&need(2)?))?);
            (PhoneCommand::Connect { call, other }, 2)
        }
        "refer-to" => {
            let (refer_to, call) = (need(1)?, call(1)?);
            (PhoneCommand::Refer { call, refer_to }, 2)
        }
        "subscribe" => (PhoneCommand::Subscribe(subject(need(1)?)), 1),
        "unsubscribe" => (PhoneCommand::Unsubscribe(subject(need(1)?)), 1),
        "audio" => {
            // Names of devices have spaces in them.
            let words = line
                .trim()
                .split_once(char::is_whitespace)
                .map(|(_, words)| words.trim());
            let choice = words.unwrap_or_default().parse::<AudioChoice>();
            let choice = choice.map_err(|error| error.to_string())?;
            (PhoneCommand::SetAudio(choice), rest.len())
        }
        "move-to" => (PhoneCommand::MoveTo(own_address(&need(1)?)?), 1),
        "refresh" => (PhoneCommand::Refresh, 0),
        "quit" => (PhoneCommand::Shutdown, 0),
        _ => return Err(format!("{verb:?} is no command; there are {WORDS}")),
    };
    match rest.len() > most {
        true => Err(format!("too many words after {verb}")),
        false => Ok(Some(command)),
    }
}

/// An address that this computer has: from another one nothing could be sent, and the phone would lose its registrar.
fn own_address(word: &str) -> Result<IpAddr, String> {
    let address: IpAddr = word
        .parse()
        .map_err(|_| format!("{word:?} is no IP address"))?;
    let is_own = !address.is_unspecified() && UdpSocket::bind((address, 0)).is_ok();
    is_own
        .then_some(address)
        .ok_or_else(|| format!("{address} is no address of this computer"))
}

fn subject(word: String) -> Subject {
    match word.as_str() {
        "voicemail" => Subject::Voicemail,
        _ => Subject::Line(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(count: u64) -> Calls {
        Calls((1..=count).map(CallRef).collect())
    }

    fn read(line: &str, calls: &Calls) -> String {
        match command(line, calls) {
            Ok(command) => format!("{command:?}"),
            Err(words) => words,
        }
    }

    #[test]
    fn a_command_without_a_number_means_the_only_call() {
        assert_eq!(read("hold", &calls(1)), "Some(Hold(CallRef(1)))");
        assert_eq!(read(" hangup  2 ", &calls(2)), "Some(Hangup(CallRef(2)))");
        assert_eq!(read("hold", &calls(0)), "there is no call");
        assert!(read("hold", &calls(2)).starts_with("there are several calls"));
        assert_eq!(read("hold 9", &calls(2)), "there is no call \"9\"");
        assert_eq!(read("", &calls(0)), "None");
    }

    #[test]
    fn devices_are_named_with_the_spaces_in_their_names() {
        let said = read(
            "audio devices:ringer=Desk Speaker;processing=off",
            &calls(0),
        );
        assert!(said.contains("ringer: Some(\"Desk Speaker\")"), "{said}");
        assert!(read("audio", &calls(0)).contains("loopback"));
        assert!(read("audio radio", &calls(0)).contains("loopback"));
    }

    #[test]
    fn words_that_are_missing_too_many_or_wrong_are_named() {
        assert_eq!(read("transfer", &calls(1)), "transfer needs a word more");
        assert_eq!(read("connect 1", &calls(2)), "connect needs 2 words more");
        assert_eq!(read("mute now", &calls(1)), "too many words after mute");
        assert!(read("dtmf x", &calls(1)).contains('x'));
        assert!(
            read("sing", &calls(1)).contains("transfer"),
            "says what there is"
        );
        let connect = read("connect 1 2", &calls(2));
        assert_eq!(
            connect,
            "Some(Connect { call: CallRef(1), other: CallRef(2) })"
        );
    }

    #[test]
    fn the_phone_moves_to_an_address_of_this_computer_and_to_no_other() {
        let moved = read("move-to 127.0.0.1", &calls(0));
        assert_eq!(moved, "Some(MoveTo(127.0.0.1))");
        let refused = read("move-to 192.0.2.1", &calls(0));
        assert_eq!(refused, "192.0.2.1 is no address of this computer");
        assert!(read("move-to 0.0.0.0", &calls(0)).contains("no address of"));
        assert!(read("move-to home", &calls(0)).contains("no IP address"));
    }

    #[test]
    fn voicemail_is_watched_by_its_name_and_lines_by_their_number() {
        let watched = read("subscribe voicemail", &calls(0));
        assert_eq!(watched, "Some(Subscribe(Voicemail))");
        let watched = read("unsubscribe 1002", &calls(0));
        assert_eq!(watched, "Some(Unsubscribe(Line(\"1002\")))");
    }

    #[test]
    fn calls_are_known_from_their_beginning_to_their_end() {
        let mut calls = Calls::default();
        let call = CallRef(4);
        calls.note(&PhoneEvent::Dialing { call });
        assert_eq!(calls.named(None), Ok(call));
        calls.note(&PhoneEvent::Ended {
            call,
            end: rollcall_phone::CallEnd {
                kind: rollcall_phone::EndKind::Remote,
                sip_code: None,
                message: String::new(),
            },
        });
        assert!(calls.named(None).is_err());
    }
}
