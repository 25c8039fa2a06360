//! Requests and their methods: rsip's enum has no room for a method that it does not know, these have.

use std::fmt;

use rsip::{Headers, Uri, Version};

/// A request (RFC 3261 section 7.1): rsip's fields, with a method that may be any token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is asked.
    pub method: Method,
    /// Whom it is for.
    pub uri: Uri,
    /// Always SIP/2.0.
    pub version: Version,
    /// The header fields, without Content-Length: the body's own length stands for it.
    pub headers: Headers,
    /// The body, any bytes.
    pub body: Vec<u8>,
}

/// Longest name of a method, in bytes.
const MAX_METHOD: usize = 47;

/// A method nobody has registered, or that this stack has no use for; kept so that it can be answered and logged.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ExtensionMethod {
    length: u8,
    bytes: [u8; MAX_METHOD],
}

impl ExtensionMethod {
    fn new(name: &str) -> Option<Self> {
        let mut bytes = [0; MAX_METHOD];
        bytes
            .get_mut(..name.len())?
            .copy_from_slice(name.as_bytes());
        Some(Self {
            length: name.len() as u8,
            bytes,
        })
    }

    fn as_str(&self) -> &str {
        let name = self.bytes.get(..self.length.into()).unwrap_or_default();
        // Only ever made from a token, which is ASCII.
        std::str::from_utf8(name).unwrap_or_default()
    }
}

impl fmt::Debug for ExtensionMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! methods {
    ($( $variant:ident $name:literal $rfc:literal ),* $(,)?) => {
        /// A request's method. Names are case-sensitive (RFC 3261 section 7.1).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Method {
            $( #[doc = concat!($name, ", ", $rfc, ".")] $variant, )*
            /// Any other token of at most 47 bytes.
            Other(ExtensionMethod),
        }

        impl Method {
            /// The method of this exact name; none where it is no token, or longer than 47 bytes.
            pub fn parse(name: &str) -> Option<Self> {
                match name {
                    $( $name => Some(Self::$variant), )*
                    other if super::text::is_token(other) => ExtensionMethod::new(other).map(Self::Other),
                    _ => None,
                }
            }

            /// The name on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $( Self::$variant => $name, )*
                    Self::Other(name) => name.as_str(),
                }
            }
        }
    };
}

methods! {
    Ack "ACK" "RFC 3261", Bye "BYE" "RFC 3261", Cancel "CANCEL" "RFC 3261", Info "INFO" "RFC 6086",
    Invite "INVITE" "RFC 3261", Message "MESSAGE" "RFC 3428", Notify "NOTIFY" "RFC 6665",
    Options "OPTIONS" "RFC 3261", PRack "PRACK" "RFC 3262", Publish "PUBLISH" "RFC 3903",
    Refer "REFER" "RFC 3515", Register "REGISTER" "RFC 3261", Subscribe "SUBSCRIBE" "RFC 6665",
    Update "UPDATE" "RFC 3311",
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
