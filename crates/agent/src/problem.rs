//! The words for what goes wrong: a stable code, what and why, and the next step.

use rollcall_phone::BadTarget;
use rollcall_wire::http::ErrorBody;

/// An error in the one shape that people and programs read.
pub fn new(code: &str, message: impl Into<String>, next: &str) -> ErrorBody {
    ErrorBody {
        code: code.to_owned(),
        message: sentence(message.into()),
        field: None,
        next: (!next.is_empty()).then(|| next.to_owned()),
    }
}

/// Words from a program's depths, as a sentence for a person.
pub fn sentence(mut words: String) -> String {
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    if !words.is_empty() && !words.ends_with(['.', '!', '?']) {
        words.push('.');
    }
    words
}

/// A value in a form is not usable.
pub fn field(field: &str, message: impl Into<String>, next: &str) -> ErrorBody {
    ErrorBody {
        field: Some(field.to_owned()),
        ..new("invalid", message, next)
    }
}

/// The code of a claim that another device stands in the way of.
pub const IN_USE: &str = "in_use";

/// No other device stands in the way.
pub fn nothing_to_take_over() -> ErrorBody {
    new(
        "nothing_to_take_over",
        "No other device stands in the way.",
        "Go on here; if you are not online, sign out and sign in again.",
    )
}

/// The command needs somebody to be signed in.
pub fn not_signed_in() -> ErrorBody {
    new("not_signed_in", "Nobody is signed in.", "Sign in first.")
}

/// The command needs nobody to be signed in.
pub fn already_signed_in() -> ErrorBody {
    new(
        "already_signed_in",
        "Somebody is signed in, or is just signing in or out.",
        "Sign out first.",
    )
}

/// The sign-in was given up by the person.
pub fn cancelled() -> ErrorBody {
    new("cancelled", "The sign-in was cancelled.", "")
}

/// The program is ending.
pub fn stopping() -> ErrorBody {
    new("stopping", "The program is ending.", "")
}

/// The realtime link is down.
pub fn server_lost(why: &str) -> ErrorBody {
    new(
        "server_lost",
        format!("The server is out of sight ({why}). Calls go on; the board is not known."),
        "Wait: the connection is tried again by itself. If it lasts, check the network.",
    )
}

/// What a phone without a microphone or a loudspeaker means; none when it has both.
pub fn missing_sound(microphone: bool, speaker: bool) -> Option<ErrorBody> {
    let message = match (microphone, speaker) {
        (true, true) => return None,
        (false, true) => "There is no microphone: you hear callers, and they do not hear you.",
        (true, false) => "There is no loudspeaker: callers hear you, and you do not hear them.",
        (false, false) => "There is no sound device: calls are silent.",
    };
    Some(sound("no_audio_device", message))
}

/// Something is wrong with the sound devices.
pub fn sound(code: &str, message: impl Into<String>) -> ErrorBody {
    let next = match code {
        "device_busy" => {
            "Close the program that uses it, or choose another device in the system's sound settings."
        }
        "device_denied" => {
            "Allow Rollcall to use it in the system's privacy settings, or ask your administrator."
        }
        "audio_file" => "Choose another file.",
        _ => "Plug in a headset, or choose another device in the system's sound settings.",
    };
    new(code, message, next)
}

/// The engine ended by itself.
pub fn phone_stopped() -> ErrorBody {
    new(
        "phone_stopped",
        "The phone has stopped working.",
        "Sign out and start Rollcall again.",
    )
}

/// The server ended the session.
pub fn session_ended(reason: &str, message: &str) -> ErrorBody {
    let code = match reason {
        "logout" | "takeover" | "forced" | "expired" => format!("session_{reason}"),
        _ => "session_ended".to_owned(),
    };
    new(&code, message, "Sign in again.")
}

/// The token is over and cannot be renewed.
pub fn session_expired() -> ErrorBody {
    new(
        "session_expired",
        "The session has ended because it could not be renewed.",
        "Sign in again.",
    )
}

/// The session could not be renewed yet.
pub fn not_renewed(why: &ErrorBody) -> ErrorBody {
    new(
        "session_not_renewed",
        format!("The session could not be renewed yet: {}", why.message),
        "Wait: it is tried again by itself.",
    )
}

/// The un-REGISTER was not answered.
pub fn phone_pending() -> ErrorBody {
    new(
        "phone_pending",
        "The registrar did not confirm that the phone is gone; its entry ends by itself.",
        "",
    )
}

/// The server did not answer the logout.
pub fn server_pending(why: Option<&ErrorBody>) -> ErrorBody {
    let why = why.map_or("it did not answer in time", |e| e.message.as_str());
    new(
        "server_pending",
        format!("The server was not told of the sign-out: {why}"),
        "Nothing: it notices within seconds that the app is gone.",
    )
}

/// There is no such call.
pub fn no_such_call() -> ErrorBody {
    new("no_such_call", "That call is over.", "")
}

/// The call is being handed on.
pub fn being_transferred() -> ErrorBody {
    new(
        "being_transferred",
        "The call is being transferred already.",
        "Wait until that is done, or has failed.",
    )
}

/// A call is going on.
pub fn call_in_progress() -> ErrorBody {
    new(
        "call_in_progress",
        "A call is going on.",
        "Hang up before calling somebody else.",
    )
}

/// The phone is not registered.
pub fn not_registered() -> ErrorBody {
    new(
        "not_registered",
        "The phone is not registered, so it cannot call.",
        "Wait until it is; it is tried again by itself.",
    )
}

/// The number cannot be dialled, in the phone's own words.
pub fn bad_target(why: &BadTarget) -> ErrorBody {
    field("target", why.to_string(), "Type a number such as 600.")
}

/// The server's SIP account is for a transport that the phone does not speak.
pub fn unsupported_transport(transport: &str) -> ErrorBody {
    new(
        "unsupported_transport",
        format!(
            "The telephone server is to be reached by {transport:?}, which this phone does not speak; it speaks UDP, TCP, TLS, WS and WSS."
        ),
        "Ask your administrator to set the server's sip.transport to one of these.",
    )
}
