//! SIP, SIPS and tel URIs (RFC 3261 section 19.1, RFC 3966) to and from rsip's [`Uri`].
//!
//! A `tel:` URI keeps its whole number as the host, since rsip has no better place. URI headers (`?Replaces=`)
//! have none at all: [`super::NameAddr`] keeps them beside the URI, and none may appear in a request line.

use std::fmt::Write as _;
use std::net::IpAddr;

use rsip::{Auth, Host, HostWithPort, Param, Port, Scheme, Transport, Uri};

use super::{Refusal, text};

/// Longest URI that is accepted, in bytes.
const MAX_URI: usize = 1024;

/// Reads a URI without angle brackets; its headers, if any, are dropped. 400 when malformed, 414 when too long, 416
/// for a scheme that cannot be dialled.
pub fn parse_uri(input: &str) -> Result<Uri, Refusal> {
    parse_with_headers(input).map(|(uri, _)| uri)
}

/// The same, and what stands after `?`.
pub(super) fn parse_with_headers(input: &str) -> Result<(Uri, &str), Refusal> {
    if input.len() > MAX_URI {
        return Err(Refusal::new(414, "URI longer than 1024 bytes"));
    }
    if input
        .chars()
        .any(|c| c.is_control() || c == ' ' || c == '<' || c == '>' || c == '"')
    {
        return Err(Refusal::bad_request(
            "URI holds blanks, quotes or control characters",
        ));
    }
    let (scheme, rest) = input
        .split_once(':')
        .ok_or_else(|| Refusal::bad_request("URI without a scheme"))?;
    match scheme.to_ascii_lowercase().as_str() {
        "sip" => parse_sip(Scheme::Sip, rest),
        "sips" => parse_sip(Scheme::Sips, rest),
        "tel" => Ok((parse_tel(rest)?, "")),
        other if text::is_token(other) => {
            Err(Refusal::new(416, "URI scheme is not sip, sips or tel"))
        }
        _ => Err(Refusal::bad_request("URI scheme is malformed")),
    }
}

/// The URI as it goes on the wire, IPv6 addresses in brackets.
pub fn uri_text(uri: &Uri) -> String {
    let mut out = String::with_capacity(48);
    match &uri.scheme {
        Some(Scheme::Other(name)) => out.push_str(name),
        Some(Scheme::Sips) => out.push_str("sips"),
        _ => out.push_str("sip"),
    }
    out.push(':');
    if let Some(auth) = &uri.auth {
        out.push_str(&auth.user);
        if let Some(password) = &auth.password {
            out.push(':');
            out.push_str(password);
        }
        out.push('@');
    }
    out.push_str(&host_text(&uri.host_with_port));
    for param in &uri.params {
        let _ = write!(out, "{param}");
    }
    out
}

/// `host[:port]`, IPv6 addresses in brackets.
pub(crate) fn host_text(host: &HostWithPort) -> String {
    let name = match &host.host {
        Host::IpAddr(IpAddr::V6(v6)) => format!("[{v6}]"),
        Host::IpAddr(v4) => v4.to_string(),
        Host::Domain(domain) => domain.to_string(),
    };
    match host.port {
        Some(port) => format!("{name}:{port}"),
        None => name,
    }
}

/// Reads `host`, `host:port`, `[v6]`, `[v6]:port`.
pub(crate) fn parse_host(input: &str) -> Result<HostWithPort, Refusal> {
    let input = input.trim();
    if let Some(rest) = input.strip_prefix('[') {
        let (v6, after) = rest
            .split_once(']')
            .ok_or_else(|| Refusal::bad_request("IPv6 address without ]"))?;
        // The grammar of RFC 3261 makes three colons of two (RFC 5118 section 4.10).
        let address = v6.parse().or_else(|_| v6.replacen(":::", "::", 1).parse());
        let address = address.map_err(|_| Refusal::bad_request("not an IPv6 address"))?;
        let port = match after.trim().strip_prefix(':') {
            Some(port) => Some(parse_port(port)?),
            None if after.trim().is_empty() => None,
            None => return Err(Refusal::bad_request("text after an IPv6 address")),
        };
        return Ok(HostWithPort {
            host: Host::IpAddr(IpAddr::V6(address)),
            port,
        });
    }
    let (name, port) = match input.split_once(':') {
        Some((name, port)) => (name.trim(), Some(parse_port(port)?)),
        None => (input, None),
    };
    let host = match name.parse() {
        Ok(v4) => Host::IpAddr(IpAddr::V4(v4)),
        Err(_) if is_host_name(name) => Host::Domain(name.into()),
        Err(_) => return Err(Refusal::bad_request("malformed host")),
    };
    Ok(HostWithPort { host, port })
}

fn parse_sip(scheme: Scheme, rest: &str) -> Result<(Uri, &str), Refusal> {
    let (auth, rest) = match rest.rsplit_once('@') {
        Some((user, rest)) => (Some(parse_user(user)?), rest),
        None => (None, rest),
    };
    let (rest, uri_headers) = rest.split_once('?').unwrap_or((rest, ""));
    let mut parts = rest.split(';');
    let host_with_port = parse_host(parts.next().unwrap_or_default())?;
    let params = parts
        .filter(|part| !part.is_empty())
        .map(parse_param)
        .collect::<Result<_, _>>()?;
    let uri = Uri {
        scheme: Some(scheme),
        auth,
        host_with_port,
        params,
        headers: Vec::new(),
    };
    Ok((uri, uri_headers))
}

fn parse_user(user: &str) -> Result<Auth, Refusal> {
    let (user, password) = match user.split_once(':') {
        Some((user, password)) => (user, Some(password.to_owned())),
        None => (user, None),
    };
    if user.is_empty() {
        return Err(Refusal::bad_request("URI with an empty user"));
    }
    Ok(Auth {
        user: user.to_owned(),
        password,
    })
}

fn parse_param(param: &str) -> Result<Param, Refusal> {
    let (name, value) = match param.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (param, None),
    };
    if name.is_empty() {
        return Err(Refusal::bad_request("URI parameter without a name"));
    }
    let known = value
        .filter(|_| name.eq_ignore_ascii_case("transport"))
        .and_then(transport_param);
    Ok(match known {
        Some(transport) => Param::Transport(transport),
        None if name.eq_ignore_ascii_case("lr") && value.is_none() => Param::Lr,
        None => Param::Other(name.into(), value.map(Into::into)),
    })
}

/// rsip's own names; an unknown transport stays a plain parameter.
fn transport_param(value: &str) -> Option<Transport> {
    // Lower case on purpose: rsip prints upper case, some PBXs compare bytes.
    Transport::all()
        .into_iter()
        .find(|known| value == known.to_string())
}

fn parse_tel(rest: &str) -> Result<Uri, Refusal> {
    let (number, params) = rest
        .split_once(';')
        .map_or((rest, None), |(number, params)| (number, Some(params)));
    let digits = number.strip_prefix('+').unwrap_or(number);
    if digits.is_empty()
        || !digits
            .bytes()
            .all(|b| b.is_ascii_hexdigit() || b"-.()*#".contains(&b))
    {
        return Err(Refusal::bad_request("malformed telephone number"));
    }
    let params = params
        .into_iter()
        .flat_map(|params| params.split(';'))
        .filter(|part| !part.is_empty());
    Ok(Uri {
        scheme: Some(Scheme::Other("tel".into())),
        auth: None,
        host_with_port: HostWithPort {
            host: Host::Domain(number.into()),
            port: None,
        },
        params: params.map(parse_param).collect::<Result<_, _>>()?,
        headers: Vec::new(),
    })
}

fn parse_port(port: &str) -> Result<Port, Refusal> {
    match port.trim().parse::<u16>() {
        Ok(port) if port > 0 => Ok(port.into()),
        _ => Err(Refusal::bad_request("port is not 1 to 65535")),
    }
}

fn is_host_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
}
