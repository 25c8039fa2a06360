//! Events as JSON lines (`--json`) and as words for a person.

use std::time::Duration;

use rollcall_phone::{CallRef, PhoneEvent, Quality, Vitals};
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
        PhoneEvent::Redirected { call, target } => {
            json!({ "event": "redirected", "call": call.0, "target": target })
        }
        PhoneEvent::Held { call, held } => {
            json!({ "event": "held", "call": call.0, "held": held })
        }
        PhoneEvent::Refused { call, message } => {
            json!({ "event": "refused", "call": call.0, "message": message })
        }
        PhoneEvent::Transfer {
            call,
            code,
            is_final,
        } => {
            json!({ "event": "transfer", "call": call.0, "sip_code": code, "final": is_final })
        }
        PhoneEvent::Referred { call, new, target } => {
            json!({ "event": "referred", "call": call.0, "new": new.0, "target": target })
        }
        PhoneEvent::HeldByOther { call, held } => {
            json!({ "event": "held_by_other", "call": call.0, "held": held })
        }
        PhoneEvent::Encryption { call, encrypted } => {
            json!({ "event": "encryption", "call": call.0, "encrypted": encrypted })
        }
        PhoneEvent::DtmfReceived { call, digit } => {
            json!({ "event": "dtmf", "call": call.0, "digit": digit.to_string() })
        }
        PhoneEvent::Voicemail { waiting, new, old } => {
            json!({ "event": "voicemail", "waiting": waiting, "new": new, "old": old })
        }
        PhoneEvent::Presence { target, activity } => {
            json!({ "event": "presence", "target": target, "activity": activity.as_str() })
        }
        PhoneEvent::SubscriptionEnded {
            subject,
            sip_code,
            message,
        } => json!({
            "event": "subscription_ended", "subject": subject.to_string(), "sip_code": sip_code, "message": message,
        }),
        PhoneEvent::Ended { call, end } => json!({
            "event": "ended", "call": call.0, "reason": end.kind.as_str(), "sip_code": end.sip_code,
            "message": end.message,
        }),
        PhoneEvent::SpeakingMuted => json!({ "event": "speaking_muted" }),
        PhoneEvent::Levels {
            microphone,
            speaker,
        } => json!({ "event": "levels", "microphone_dbfs": microphone, "speaker_dbfs": speaker }),
        PhoneEvent::Quality {
            call,
            quality,
            devices,
        } => {
            let mut record = quality_object(*call, quality);
            record["microphones"] = json!(devices.microphones);
            record["speakers"] = json!(devices.speakers);
            record
        }
        PhoneEvent::AudioDevices {
            microphone,
            speaker,
            stands_in,
        } => {
            json!({ "event": "audio_devices", "microphone": microphone, "speaker": speaker,
                "stands_in": stands_in })
        }
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

/// A command line that was not understood, or cannot be followed now.
pub(crate) fn refused_command(line: &str, message: &str) -> Value {
    json!({ "event": "command_refused", "command": line, "message": message })
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
        PhoneEvent::Redirected { target, .. } => format!("redirected to {target}"),
        PhoneEvent::Held { held: true, .. } => "holding".to_owned(),
        PhoneEvent::Held { held: false, .. } => "taken off hold by us".to_owned(),
        PhoneEvent::Refused { message, .. } => message.clone(),
        PhoneEvent::Transfer {
            code,
            is_final: false,
            ..
        } => format!("transfer: {code}"),
        PhoneEvent::Transfer { code, .. } if *code < 300 => "transferred".to_owned(),
        PhoneEvent::Transfer { code, .. } => format!("not transferred: {code}"),
        PhoneEvent::Referred { target, .. } => format!("handed on to {target}"),
        PhoneEvent::HeldByOther { held: true, .. } => "put on hold".to_owned(),
        PhoneEvent::HeldByOther { held: false, .. } => "taken off hold".to_owned(),
        PhoneEvent::Encryption {
            encrypted: true, ..
        } => "the sound is encrypted now".to_owned(),
        PhoneEvent::Encryption {
            encrypted: false, ..
        } => "the sound is not encrypted any more".to_owned(),
        PhoneEvent::DtmfReceived { digit, .. } => format!("the other side pressed {digit}"),
        PhoneEvent::Voicemail { waiting: false, .. } => "no new voicemail".to_owned(),
        PhoneEvent::Voicemail { new: Some(new), .. } => format!("voicemail: {new} new"),
        PhoneEvent::Voicemail { .. } => "voicemail is waiting".to_owned(),
        PhoneEvent::Presence { target, activity } => format!("{target} is {}", activity.as_str()),
        PhoneEvent::SubscriptionEnded { message, .. } => message.clone(),
        PhoneEvent::Ended { end, .. } => end.message.clone(),
        PhoneEvent::SpeakingMuted => "you are muted".to_owned(),
        PhoneEvent::Levels {
            microphone,
            speaker,
        } => {
            let level =
                |of: &Option<f64>| of.map_or("silence".to_owned(), |db| format!("{db:.0} dB"));
            format!(
                "microphone {}, speaker {}",
                level(microphone),
                level(speaker)
            )
        }
        PhoneEvent::Quality { quality, .. } => quality_words(quality),
        PhoneEvent::AudioDevices {
            microphone,
            speaker,
            stands_in,
        } => {
            let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "none".to_owned());
            let instead = if *stands_in {
                ", for want of the chosen one"
            } else {
                ""
            };
            format!(
                "microphone: {}, loudspeaker: {}{instead}",
                name(microphone),
                name(speaker)
            )
        }
        PhoneEvent::AudioReady { .. } => "sound is ready".to_owned(),
        PhoneEvent::AudioProblem { message, .. } => message.clone(),
        PhoneEvent::Vitals(_) => return None,
        PhoneEvent::Stopped => "stopped".to_owned(),
    })
}

/// What nobody measured is null.
fn quality_object(call: CallRef, quality: &Quality) -> Value {
    let codecs: Vec<String> = quality.codecs.iter().map(ToString::to_string).collect();
    let seconds = |time: Duration| time.as_secs_f64();
    let (received, sent) = (&quality.received, &quality.sent);
    let scores: Vec<[f64; 2]> = quality
        .scores
        .iter()
        .map(|(at, mos)| [seconds(*at), *mos])
        .collect();
    json!({
        "event": "quality", "call": call.0, "codecs": codecs, "duration": seconds(quality.duration),
        "received": {
            "packets": received.packets, "loss": received.loss, "unplayed": received.unplayed,
            "jitter": received.jitter.map(|jitter| seconds(jitter.last)),
            "most_jitter": received.jitter.map(|jitter| seconds(jitter.most)),
            "burst_density": received.burst_density, "burst": received.burst.map(seconds),
            "left_out": seconds(received.left_out), "put_in": seconds(received.put_in), "starved": received.starved,
        },
        "sent": {
            "packets": sent.packets, "loss": sent.loss, "jitter": sent.jitter.map(seconds), "mos": sent.mos,
        },
        "round_trip": quality.round_trip.map(|trip| seconds(trip.last)),
        "most_round_trip": quality.round_trip.map(|trip| seconds(trip.most)),
        "mos": quality.mos.map(|score| score.last), "least_mos": quality.mos.map(|score| score.least),
        "scores": scores, "source_changes": quality.source_changes,
        "network_changes": quality.network_changes, "restarts": quality.restarts, "encrypted": quality.encrypted,
    })
}

fn quality_words(quality: &Quality) -> String {
    let share = |loss: Option<f64>| match loss {
        Some(loss) => format!("{:.1} %", 100.0 * loss),
        None => "an unknown share".to_owned(),
    };
    let mut words = format!(
        "of the sound {} was lost on its way here and {} on its way there",
        share(quality.received.loss),
        share(quality.sent.loss)
    );
    if let Some(trip) = quality.round_trip {
        words += &format!("; round trip {} ms", trip.last.as_millis());
    }
    if let Some(score) = quality.mos {
        words += &format!("; score {:.1} of 4.5", score.last);
    }
    words
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
        "tasks": vitals.tasks, "refused": { "sip": sip, "rtp": rtp },
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
