//! Events as JSON lines (`--json`) and as words for a person.

use rollcall_phone::{PhoneEvent, Vitals};
use serde_json::{Map, Value, json};

/// One event as a JSON object; `event` names it. Times are in seconds.
pub(crate) fn object(event: &PhoneEvent) -> Value {
    match event {
        PhoneEvent::Registering => json!({ "event": "registering" }),
        PhoneEvent::Registered {
            contact,
            expires,
            registrar,
        } => json!({
            "event": "registered", "contact": contact, "expires": expires.as_secs(), "registrar": registrar,
        }),
        PhoneEvent::RegistrationFailed {
            code,
            message,
            next,
            retry_in,
        } => json!({
            "event": "registration_failed", "code": code.as_str(), "message": message, "next": next,
            "retry_in": retry_in.map(|wait| wait.as_secs_f64()),
        }),
        PhoneEvent::Unregistered => json!({ "event": "unregistered" }),
        PhoneEvent::Incoming {
            call,
            from_display,
            from_uri,
        } => json!({
            "event": "incoming", "call": call.0, "from_display": from_display, "from_uri": from_uri,
        }),
        PhoneEvent::Dialing { call } => json!({ "event": "dialing", "call": call.0 }),
        PhoneEvent::Ringing { call } => json!({ "event": "ringing", "call": call.0 }),
        PhoneEvent::EarlyMedia { call } => json!({ "event": "early_media", "call": call.0 }),
        PhoneEvent::Answered { call, codec } => {
            json!({ "event": "answered", "call": call.0, "codec": codec.to_string() })
        }
        PhoneEvent::HeldByOther { call, held } => {
            json!({ "event": "held_by_other", "call": call.0, "held": held })
        }
        PhoneEvent::DtmfReceived { call, digit } => {
            json!({ "event": "dtmf", "call": call.0, "digit": digit.to_string() })
        }
        PhoneEvent::Ended { call, end } => json!({
            "event": "ended", "call": call.0, "reason": end.kind.as_str(), "sip_code": end.sip_code,
            "message": end.message,
        }),
        PhoneEvent::AudioReady {
            microphone,
            speaker,
        } => {
            json!({ "event": "audio_ready", "microphone": microphone, "speaker": speaker })
        }
        PhoneEvent::AudioProblem { code, message } => {
            json!({ "event": "audio_problem", "code": code, "message": message })
        }
        PhoneEvent::Vitals(vitals) => vitals_object(vitals),
        PhoneEvent::Stopped => json!({ "event": "stopped" }),
    }
}

/// One event for a person; nothing for those that come every second.
pub(crate) fn words(event: &PhoneEvent) -> Option<String> {
    Some(match event {
        PhoneEvent::Registering => "registering".to_owned(),
        PhoneEvent::Registered {
            contact,
            expires,
            registrar,
        } => {
            format!(
                "registered at {registrar} as {contact} for {} s",
                expires.as_secs()
            )
        }
        PhoneEvent::RegistrationFailed {
            message,
            next,
            retry_in,
            ..
        } => match retry_in {
            Some(wait) => format!(
                "{message} {next} Next attempt in {:.0} s.",
                wait.as_secs_f64()
            ),
            None => format!("{message} {next}"),
        },
        PhoneEvent::Unregistered => "unregistered".to_owned(),
        PhoneEvent::Incoming {
            from_display,
            from_uri,
            ..
        } => format!("call from {from_display} {from_uri}"),
        PhoneEvent::Dialing { .. } => "dialing".to_owned(),
        PhoneEvent::Ringing { .. } => "ringing".to_owned(),
        PhoneEvent::EarlyMedia { .. } => "sound before the answer".to_owned(),
        PhoneEvent::Answered { codec, .. } => format!("answered, {codec}"),
        PhoneEvent::HeldByOther { held: true, .. } => "put on hold".to_owned(),
        PhoneEvent::HeldByOther { held: false, .. } => "taken off hold".to_owned(),
        PhoneEvent::DtmfReceived { digit, .. } => format!("the other side pressed {digit}"),
        PhoneEvent::Ended { end, .. } => end.message.clone(),
        PhoneEvent::AudioReady { .. } => "sound is ready".to_owned(),
        PhoneEvent::AudioProblem { message, .. } => message.clone(),
        PhoneEvent::Vitals(_) => return None,
        PhoneEvent::Stopped => "stopped".to_owned(),
    })
}

fn vitals_object(vitals: &Vitals) -> Value {
    let sip = vitals.refused.sip.iter();
    let sip: Map<_, _> = sip
        .map(|(kind, count)| (kind.as_str().to_owned(), count.into()))
        .collect();
    let rtp = vitals.refused.rtp.iter();
    let rtp: Map<_, _> = rtp
        .map(|(kind, count)| (kind.to_owned(), count.into()))
        .collect();
    json!({
        "event": "vitals", "tick": vitals.tick, "sip_loop_late": vitals.sip_loop_late.as_secs_f64(),
        "audio_loop_age": vitals.audio_loop_age.as_secs_f64(), "microphone_ok": vitals.microphone_ok,
        "speaker_ok": vitals.speaker_ok, "registered": vitals.registered, "calls": vitals.calls,
        "refused": { "sip": sip, "rtp": rtp },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vitals_name_every_kind_of_refusal_with_its_count() {
        let mut vitals = Vitals::default();
        vitals.refused.rtp.foreign = 7;
        let object = object(&PhoneEvent::Vitals(vitals));
        assert_eq!(object["refused"]["rtp"]["foreign"], 7);
        assert_eq!(object["refused"]["rtp"]["malformed"], 0);
        for kind in rollcall_phone::RefusalKind::ALL {
            assert_eq!(object["refused"]["sip"][kind.as_str()], 0, "{kind:?}");
        }
    }
}
