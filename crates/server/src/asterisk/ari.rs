//! Asterisk's REST interface, for the one thing it does best: a contact gone at once (F6).

use std::time::Duration;

use reqwest::StatusCode;
use rollcall_alignment::ContactId;
use thiserror::Error;

use crate::config::{AriConfig, ConfigError, Secret};

/// How long a connection, and then an answer, may take.
const CONNECT: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_secs(4);

/// A client of one Asterisk's REST interface.
#[derive(Clone)]
pub(super) struct Ari {
    http: reqwest::Client,
    base: String,
    username: String,
    password: Secret,
}

/// Why it did not do what was asked.
#[derive(Debug, Error)]
pub(super) enum AriError {
    /// No answer.
    #[error("ARI did not answer: {0}")]
    Away(reqwest::Error),
    /// An answer that is none of those documented for success.
    #[error("ARI answered {0}{next}", next = advice(*.0))]
    Refused(StatusCode),
}

impl Ari {
    pub(super) fn new(config: &AriConfig) -> Result<Self, ConfigError> {
        // One provider a process; whoever was first has chosen the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| ConfigError::Invalid(format!("[ari]: {error}")))?;
        Ok(Self {
            http,
            base: config.url.trim_end_matches('/').to_owned(),
            username: config.username.clone(),
            password: config.resolve_secret()?,
        })
    }

    /// Asks what Asterisk says of itself: that we are let in is all that counts.
    pub(super) async fn info(&self) -> Result<(), AriError> {
        let answer = self
            .http
            .get(format!("{}/ari/asterisk/info?only=system", self.base))
            .basic_auth(&self.username, Some(self.password.expose()))
            .send()
            .await
            .map_err(|error| AriError::Away(error.without_url()))?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(AriError::Refused(status)),
        }
    }

    /// Deletes a contact. False when there was none.
    pub(super) async fn delete_contact(&self, id: &ContactId) -> Result<bool, AriError> {
        // No escape keeps a URL from taking these for a way up.
        if matches!(id.as_str(), "" | "." | "..") {
            return Ok(false);
        }
        let url = format!(
            "{}/ari/asterisk/config/dynamic/res_pjsip/contact/{}",
            self.base,
            escaped(id.as_str())
        );
        let answer = self
            .http
            .delete(url)
            .basic_auth(&self.username, Some(self.password.expose()))
            .send()
            .await
            .map_err(|error| AriError::Away(error.without_url()))?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(false),
            status if status.is_success() => Ok(true),
            status => Err(AriError::Refused(status)),
        }
    }
}

fn advice(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "; check the user and password of [ari] against ari.conf",
        StatusCode::FORBIDDEN => "; the user of ari.conf needs read_only = no",
        _ => "",
    }
}

/// RFC 3986 section 2.1, everything but the unreserved: the id's `;` and `@` too.
fn escaped(id: &str) -> String {
    id.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncReadExt as _, net::TcpListener};

    use super::*;

    #[test]
    fn an_id_is_escaped_as_asterisk_wants_it() {
        assert_eq!(
            escaped("1001;@9f86d081884c7d659a2feaa0c55ad015"),
            "1001%3B%409f86d081884c7d659a2feaa0c55ad015"
        );
    }

    #[tokio::test]
    async fn an_ids_line_ends_slashes_and_dots_end_no_request_line_and_leave_no_path() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = AriConfig {
            url: format!("http://{}", listener.local_addr().unwrap()),
            username: "rollcall".into(),
            secret_file: None,
            secret_env: Some("PATH".into()),
        };
        let ari = Ari::new(&config).unwrap();
        let place = "/ari/asterisk/config/dynamic/res_pjsip/contact/";
        for (id, said) in [
            ("1;@a\r\nX-Evil: 1", "1%3B%40a%0D%0AX-Evil%3A%201"),
            (
                "1 HTTP/1.1\r\n\r\nDELETE /",
                "1%20HTTP%2F1.1%0D%0A%0D%0ADELETE%20%2F",
            ),
            ("1\n\0\t", "1%0A%00%09"),
            ("../../../channels?x#y", "..%2F..%2F..%2Fchannels%3Fx%23y"),
        ] {
            let id = ContactId::new(id);
            let asked = ari.delete_contact(&id);
            let read = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                String::from_utf8(head).unwrap()
            };
            let (asked, head) = tokio::join!(asked, read);
            asked.unwrap_err();
            let mut lines = head.lines();
            assert_eq!(
                lines.next().unwrap(),
                format!("DELETE {place}{said} HTTP/1.1")
            );
            assert!(!lines.any(|line| line.starts_with("X-Evil")), "{head}");
        }
        // What a URL takes for the way up names no contact, and is not asked.
        for id in ["", ".", ".."] {
            assert!(!ari.delete_contact(&ContactId::new(id)).await.unwrap());
        }
    }
}
