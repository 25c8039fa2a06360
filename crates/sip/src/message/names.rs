//! Header names: canonical and compact forms, and rsip's variant for each.

use rsip::Header;
use rsip::headers::{self, UntypedHeader};

macro_rules! names {
    ($( $variant:ident $name:literal $(| $compact:literal)? ),* $(,)?) => {
        /// Makes a header from a name in any case or compact form (RFC 3261 section 7.3.3) and its value.
        pub fn header(name: &str, value: impl Into<String>) -> Header {
            $( if name.eq_ignore_ascii_case($name) $(|| name.eq_ignore_ascii_case($compact))? {
                return Header::$variant(headers::$variant::new(value));
            } )*
            Header::Other(full_name(name).to_owned(), value.into())
        }

        /// The canonical name of a header, and its value.
        pub fn name_and_value(header: &Header) -> (&str, &str) {
            match header {
                $( Header::$variant(inner) => ($name, inner.value()), )*
                Header::Other(name, value) => (name, value),
            }
        }
    };
}

names! {
    Accept "Accept", AcceptEncoding "Accept-Encoding", AcceptLanguage "Accept-Language", AlertInfo "Alert-Info",
    Allow "Allow", AuthenticationInfo "Authentication-Info", Authorization "Authorization", CSeq "CSeq",
    CallId "Call-ID" | "i", CallInfo "Call-Info", Contact "Contact" | "m",
    ContentDisposition "Content-Disposition", ContentEncoding "Content-Encoding" | "e",
    ContentLanguage "Content-Language", ContentLength "Content-Length" | "l", ContentType "Content-Type" | "c",
    Date "Date", ErrorInfo "Error-Info", Event "Event" | "o", Expires "Expires", From "From" | "f",
    InReplyTo "In-Reply-To", MaxForwards "Max-Forwards", MimeVersion "MIME-Version", MinExpires "Min-Expires",
    Organization "Organization", Priority "Priority", ProxyAuthenticate "Proxy-Authenticate",
    ProxyAuthorization "Proxy-Authorization", ProxyRequire "Proxy-Require", RecordRoute "Record-Route",
    ReplyTo "Reply-To", Require "Require", RetryAfter "Retry-After", Route "Route", Server "Server",
    Subject "Subject" | "s", SubscriptionState "Subscription-State", Supported "Supported" | "k",
    Timestamp "Timestamp", To "To" | "t", Unsupported "Unsupported", UserAgent "User-Agent", Via "Via" | "v",
    Warning "Warning", WwwAuthenticate "WWW-Authenticate",
}

/// Compact forms of headers that rsip has no variant for.
fn full_name(name: &str) -> &str {
    match name {
        "r" | "R" => "Refer-To",
        "b" | "B" => "Referred-By",
        "u" | "U" => "Allow-Events",
        "x" | "X" => "Session-Expires",
        other => other,
    }
}
