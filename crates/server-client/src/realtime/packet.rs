//! Engine.IO v4 and Socket.IO v5 packets, as far as one namespace and text frames need them.

use std::time::Duration;

use rollcall_wire::WIRE_VERSION;
use serde::Deserialize;
use serde_json::Value;

/// A packet from the server.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Packet {
    /// Engine.IO open: how often it pings, and how long it waits.
    Open { ping: Duration },
    /// Engine.IO ping, to be answered at once.
    Ping,
    /// Engine.IO close.
    Close,
    /// Socket.IO: the namespace is open.
    Connected,
    /// Socket.IO: it is not, and why.
    ConnectError(String),
    /// Socket.IO: the server ends the namespace.
    Disconnected,
    /// Socket.IO event.
    Event(String, Value),
    /// Anything that concerns us not.
    Other,
}

/// What a silent server may be told at the latest; one that names longer is taken at this.
const LONGEST_PING: Duration = Duration::from_secs(120);
const SHORTEST_PING: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Handshake {
    ping_interval: u64,
    ping_timeout: u64,
}

/// Reads one text frame; `None` if it is no packet at all.
pub(super) fn parse(text: &str) -> Option<Packet> {
    let mut chars = text.chars();
    let kind = chars.next()?;
    let rest = chars.as_str();
    match kind {
        '0' => {
            let open: Handshake = serde_json::from_str(rest).ok()?;
            let millis = open.ping_interval.saturating_add(open.ping_timeout);
            let ping = Duration::from_millis(millis).clamp(SHORTEST_PING, LONGEST_PING);
            Some(Packet::Open { ping })
        }
        '1' => Some(Packet::Close),
        '2' => Some(Packet::Ping),
        '3' | '5' | '6' => Some(Packet::Other),
        '4' => message(rest),
        _ => None,
    }
}

fn message(text: &str) -> Option<Packet> {
    let mut chars = text.chars();
    let kind = chars.next()?;
    let rest = chars.as_str();
    // Another namespace begins with a slash; none is ever opened.
    if rest.starts_with('/') {
        return Some(Packet::Other);
    }
    match kind {
        '0' => Some(Packet::Connected),
        '1' => Some(Packet::Disconnected),
        '2' => event(rest),
        '4' => {
            let words = serde_json::from_str::<Value>(rest).ok()?;
            let words = words.get("message").and_then(Value::as_str)?;
            Some(Packet::ConnectError(words.to_owned()))
        }
        '3' | '5' | '6' => Some(Packet::Other),
        _ => None,
    }
}

fn event(text: &str) -> Option<Packet> {
    // An acknowledgement's number may stand in front; nobody here acknowledges.
    let text = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let values: Vec<Value> = serde_json::from_str(text).ok()?;
    let mut values = values.into_iter();
    let Value::String(name) = values.next()? else {
        return None;
    };
    Some(Packet::Event(name, values.next().unwrap_or(Value::Null)))
}

/// Opens the namespace with the token, naming the device that it is bound to.
pub(super) fn connect(token: &str, device: Option<&str>) -> String {
    let mut auth = serde_json::json!({ "token": token, "wire": WIRE_VERSION });
    if let Some(device) = device {
        auth["device"] = device.into();
    }
    format!("40{auth}")
}

/// An event with one argument.
pub(super) fn emit(event: &str, argument: &Value) -> String {
    format!("42{}", serde_json::json!([event, argument]))
}

/// An event without any.
pub(super) fn emit_bare(event: &str) -> String {
    format!("42{}", serde_json::json!([event]))
}

/// The answer to a ping.
pub(super) const PONG: &str = "3";
/// Leaves the namespace.
pub(super) const DISCONNECT: &str = "41";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn packets_are_read_as_the_protocol_writes_them() {
        let open = r#"0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
        assert_eq!(
            parse(open),
            Some(Packet::Open {
                ping: Duration::from_secs(45)
            })
        );
        assert_eq!(parse("2"), Some(Packet::Ping));
        assert_eq!(parse(r#"40{"sid":"y"}"#), Some(Packet::Connected));
        assert_eq!(
            parse(r#"44{"message":"no"}"#),
            Some(Packet::ConnectError("no".into()))
        );
        assert_eq!(
            parse(r#"42["a",{"b":1}]"#),
            Some(Packet::Event("a".into(), json!({"b": 1})))
        );
        assert_eq!(
            parse(r#"4217["a"]"#),
            Some(Packet::Event("a".into(), Value::Null))
        );
        assert_eq!(parse("42/other,[\"a\"]"), Some(Packet::Other));
    }

    #[test]
    fn what_is_no_packet_is_none_and_never_a_panic() {
        for bad in [
            "", "9", "4", "49", "42", "42{}", "42[1]", "0", "0{}", "44", "é", "4é", "42[\"a\"",
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn an_absurd_ping_interval_is_bounded() {
        let open = |interval: u64| {
            parse(&format!(
                r#"0{{"pingInterval":{interval},"pingTimeout":{interval}}}"#
            ))
        };
        assert_eq!(open(u64::MAX), Some(Packet::Open { ping: LONGEST_PING }));
        assert_eq!(
            open(0),
            Some(Packet::Open {
                ping: SHORTEST_PING
            })
        );
    }

    #[test]
    fn what_is_sent_is_json_whatever_the_token_holds() {
        assert_eq!(
            connect("a\"b", None),
            format!(r#"40{{"token":"a\"b","wire":{WIRE_VERSION}}}"#)
        );
        assert!(connect("a", Some("d\"e")).contains(r#""device":"d\"e""#));
        assert_eq!(emit("e", &json!(1)), r#"42["e",1]"#);
        assert_eq!(emit_bare("e"), r#"42["e"]"#);
    }
}
