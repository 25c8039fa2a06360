//! The wire form of SIP, and the only door to `rsip`.
//!
//! rsip's plain structs are the vocabulary ([`Response`], [`Uri`], [`Headers`]), with a [`Request`] beside them whose
//! [`Method`] may be one that rsip does not know; its parser, printers and typed headers are not used, since they
//! lose or refuse too much of what phones and PBXs really send. This module owns a tolerant [`parse`], a strict [`write()`](write::request), and typed views of the
//! headers the stack acts on. It refuses what cannot be acted upon with a [`Refusal`] that carries the response
//! code to answer with and the words to log.

mod framing;
mod method;
mod names;
mod octets;
pub(crate) mod parse;
mod refusal;
pub(crate) mod text;
pub(crate) mod uri;
mod view;
pub mod write;

pub use framing::{Frame, Framing, PING, PONG};
pub use method::{ExtensionMethod, Method, Request};
pub use names::{header, name_and_value};
pub use parse::{MAX_MESSAGE, parse};
pub use refusal::Refusal;
pub use rsip::{
    Header, Headers, Host, HostWithPort, Param, Port, Response, Scheme, StatusCode, Uri, Version,
};
pub use uri::{parse_uri, uri_text};
pub use view::{CSeq, HeadersView, NameAddr, Params, Via};

/// A SIP message as it came from the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A request.
    Request(Request),
    /// A response.
    Response(Response),
}
