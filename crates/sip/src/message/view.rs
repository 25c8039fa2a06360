//! Typed views of the headers the stack acts on.

use std::fmt;
use std::time::Duration;

use rsip::{Header, Headers, HostWithPort, Uri};

use super::names::{header, name_and_value};
use super::uri::{host_text, parse_host, parse_with_headers, uri_text};
use super::{Method, Refusal, octets, text};

/// Header parameters in their order: `;name` or `;name=value`. Quoted values are kept with their quotes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Params(pub Vec<(String, Option<String>)>);

impl Params {
    /// The value of a parameter without its quotes; an empty text for one without a value.
    pub fn get(&self, name: &str) -> Option<String> {
        self.0
            .iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_deref().map(text::unquote).unwrap_or_default())
    }

    /// Sets or replaces a parameter.
    pub fn set(&mut self, name: &str, value: Option<String>) {
        match self
            .0
            .iter_mut()
            .find(|(own, _)| own.eq_ignore_ascii_case(name))
        {
            Some(entry) => entry.1 = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    fn parse(input: &str) -> Result<Self, Refusal> {
        let mut params = Vec::new();
        for part in text::split_outside_quotes(input, ';') {
            let (name, value) = match text::find_outside_quotes(part, '=') {
                Some(at) => (
                    part[..at].trim_end(),
                    Some(part[at + 1..].trim_start().to_owned()),
                ),
                None => (part, None),
            };
            if !text::is_token(name) {
                return Err(Refusal::bad_request("malformed header parameter"));
            }
            params.push((name.to_owned(), value));
        }
        Ok(Self(params))
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.0 {
            match value {
                Some(value) => write!(f, ";{name}={value}")?,
                None => write!(f, ";{name}")?,
            }
        }
        Ok(())
    }
}

/// `"Display" <uri>;params`, as in From, To, Contact, Route (RFC 3261 section 20.10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameAddr {
    /// The display name without quotes.
    pub display: Option<String>,
    /// The address.
    pub uri: Uri,
    /// The address's own headers, as they stand after `?` (`Replaces=...` in Refer-To); empty when there are none.
    pub uri_headers: String,
    /// Header parameters, such as `tag` and `expires`.
    pub params: Params,
}

impl NameAddr {
    /// A bare address.
    pub fn new(uri: Uri) -> Self {
        Self {
            display: None,
            uri,
            uri_headers: String::new(),
            params: Params::default(),
        }
    }

    /// Reads one value. In the form without brackets all parameters belong to the header.
    pub fn parse(input: &str) -> Result<Self, Refusal> {
        let input = input.trim();
        let Some(open) = text::find_outside_quotes(input, '<') else {
            if input.contains('?') {
                // RFC 3261 section 20.10: without brackets nobody knows whose the rest is.
                return Err(Refusal::bad_request("address with ? outside brackets"));
            }
            let (uri, params) = input.split_once(';').unwrap_or((input, ""));
            return Ok(Self {
                display: None,
                uri: parse_with_headers(uri.trim())?.0,
                uri_headers: String::new(),
                params: Params::parse(params)?,
            });
        };
        let close = input[open..]
            .find('>')
            .ok_or_else(|| Refusal::bad_request("address without >"))?
            + open;
        let display = text::unquote(input[..open].trim());
        let display = octets::readable(&display).into_owned();
        let after = input[close + 1..].trim();
        if !after.is_empty() && !after.starts_with(';') {
            return Err(Refusal::bad_request("text after an address"));
        }
        let (uri, uri_headers) = parse_with_headers(input[open + 1..close].trim())?;
        Ok(Self {
            display: Some(display).filter(|name| !name.is_empty()),
            uri,
            uri_headers: uri_headers.to_owned(),
            params: Params::parse(after)?,
        })
    }

    /// The tag parameter.
    pub fn tag(&self) -> Option<String> {
        self.params.get("tag").filter(|tag| !tag.is_empty())
    }

    /// The same address with this tag.
    pub fn with_tag(mut self, tag: &str) -> Self {
        self.params.set("tag", Some(tag.to_owned()));
        self
    }

    /// The user part of the address, empty when there is none.
    pub fn user(&self) -> &str {
        self.uri.user().unwrap_or_default()
    }
}

impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(display) = &self.display {
            write!(f, "{} ", text::quote(display))?;
        }
        write!(f, "<{}", uri_text(&self.uri))?;
        if !self.uri_headers.is_empty() {
            write!(f, "?{}", self.uri_headers)?;
        }
        write!(f, ">{}", self.params)
    }
}

/// One Via value (RFC 3261 section 20.42).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via {
    /// The protocol version, `2.0`; another one is kept, so that its sender can be told (505).
    pub version: String,
    /// The transport token as it came, e.g. `UDP`.
    pub transport: String,
    /// The sent-by address.
    pub sent_by: HostWithPort,
    /// branch, rport, received, ...
    pub params: Params,
}

impl Via {
    /// A value of ours.
    pub fn new(transport: impl Into<String>, sent_by: HostWithPort, params: Params) -> Self {
        Self {
            version: "2.0".to_owned(),
            transport: transport.into(),
            sent_by,
            params,
        }
    }

    /// Reads one value.
    pub fn parse(input: &str) -> Result<Self, Refusal> {
        let malformed = || Refusal::bad_request("malformed Via");
        let mut parts = input.splitn(3, '/');
        let name = parts.next().map(str::trim).unwrap_or_default();
        let version = parts.next().map(str::trim).unwrap_or_default();
        if !name.eq_ignore_ascii_case("SIP") || !text::is_token(version) {
            return Err(malformed());
        }
        let rest = parts.next().ok_or_else(malformed)?.trim();
        let (transport, rest) = rest
            .split_once(|c: char| c.is_ascii_whitespace())
            .ok_or_else(malformed)?;
        let (sent_by, params) = rest.split_once(';').unwrap_or((rest, ""));
        if !text::is_token(transport) {
            return Err(malformed());
        }
        Ok(Self {
            version: version.to_owned(),
            transport: transport.to_owned(),
            sent_by: parse_host(sent_by)?,
            params: Params::parse(params)?,
        })
    }

    /// The branch parameter.
    pub fn branch(&self) -> Option<String> {
        self.params
            .get("branch")
            .filter(|branch| !branch.is_empty())
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SIP/{}/{} {}{}",
            self.version,
            self.transport,
            host_text(&self.sent_by),
            self.params
        )
    }
}

/// CSeq (RFC 3261 section 20.16).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CSeq {
    /// Sequence number, below 2^31.
    pub number: u32,
    /// The method of the request.
    pub method: Method,
}

/// Reading and changing headers by name, whatever rsip's variant.
pub trait HeadersView {
    /// The first value under a name, in any case.
    fn text(&self, name: &str) -> Option<&str>;
    /// All values under a name, in order.
    fn texts<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str>;
    /// Replaces all values under a name by this one.
    fn set(&mut self, name: &str, value: impl Into<String>);
    /// Adds one value at the end.
    fn add(&mut self, name: &str, value: impl Into<String>);

    /// From.
    #[expect(
        clippy::wrong_self_convention,
        reason = "it is the header's name, not a conversion"
    )]
    fn from_view(&self) -> Result<NameAddr, Refusal> {
        NameAddr::parse(self.text("From").ok_or_else(|| missing("From"))?)
    }

    /// To.
    fn to_view(&self) -> Result<NameAddr, Refusal> {
        NameAddr::parse(self.text("To").ok_or_else(|| missing("To"))?)
    }

    /// The topmost Via.
    fn via_view(&self) -> Result<Via, Refusal> {
        Via::parse(self.text("Via").ok_or_else(|| missing("Via"))?)
    }

    /// CSeq.
    fn cseq_view(&self) -> Result<CSeq, Refusal> {
        let malformed = || Refusal::bad_request("malformed CSeq");
        let mut words = self
            .text("CSeq")
            .ok_or_else(|| missing("CSeq"))?
            .split_ascii_whitespace();
        let number: u32 = words
            .next()
            .and_then(|word| word.parse().ok())
            .ok_or_else(malformed)?;
        let method = words.next().and_then(Method::parse).ok_or_else(malformed)?;
        if number >= 1 << 31 || words.next().is_some() {
            return Err(malformed());
        }
        Ok(CSeq { number, method })
    }

    /// Every readable Contact; `*` and unreadable ones are left out.
    fn contacts(&self) -> Vec<NameAddr> {
        self.texts("Contact")
            .filter_map(|value| NameAddr::parse(value).ok())
            .collect()
    }

    /// A header that counts seconds (Expires, Min-Expires, Retry-After); comments and parameters are ignored.
    fn seconds(&self, name: &str) -> Option<Duration> {
        let value = self.text(name)?.trim();
        let digits: &str = value
            .split(|c: char| !c.is_ascii_digit())
            .next()
            .unwrap_or_default();
        digits
            .parse::<u32>()
            .ok()
            .map(|seconds| Duration::from_secs(seconds.into()))
    }

    /// Whether a comma-separated header (Supported, Require, Allow) names this token.
    fn lists(&self, name: &str, token: &str) -> bool {
        self.texts(name)
            .flat_map(|value| value.split(','))
            .any(|item| item.trim().eq_ignore_ascii_case(token))
    }
}

impl HeadersView for Headers {
    fn text(&self, name: &str) -> Option<&str> {
        self.iter()
            .map(name_and_value)
            .find(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    fn texts<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.iter()
            .map(name_and_value)
            .filter(move |(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    fn set(&mut self, name: &str, value: impl Into<String>) {
        let new = header(name, value);
        let canonical = name_and_value(&new).0.to_owned();
        let mut new = Some(new);
        // In place, so that the order of Via, From, To ... stays as it was.
        let replaced: Vec<Header> = std::mem::take(self)
            .into_iter()
            .filter_map(
                |old| match name_and_value(&old).0.eq_ignore_ascii_case(&canonical) {
                    true => new.take(),
                    false => Some(old),
                },
            )
            .collect();
        *self = replaced.into();
        if let Some(new) = new {
            self.push(new);
        }
    }

    fn add(&mut self, name: &str, value: impl Into<String>) {
        self.push(header(name, value));
    }
}

fn missing(name: &str) -> Refusal {
    Refusal::bad_request(format!("no {name} header"))
}
