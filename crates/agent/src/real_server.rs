//! The server as `rollcall-server-client` speaks with it. What it answered goes on the log at INFO: call, extension,
//! device and contact; no name and no address.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rollcall_server_client::{Client, ClientError, Realtime, RealtimeEvent};
use rollcall_wire::explain::{Available, Explanation};
use rollcall_wire::http::{AgentLogoutRequest, AgentOnlineRequest, LoginRequest, LoginResponse};
use rollcall_wire::realtime::DeviceHeartbeat;
use tokio::sync::{mpsc, watch};
use tracing::info;
use uuid::Uuid;
use zeroize::Zeroize;

use crate::{
    day::{Failure, FailureKind, LinkEvent},
    ports::{Pause, Question, Secret, Server},
    problem,
};

/// Keeps the connections to the server that was spoken with last.
#[derive(Debug)]
pub(crate) struct RealServer {
    device_id: String,
    last: Mutex<Option<(String, Client)>>,
    /// Of who signed in last, for the log.
    extension: Mutex<Option<String>>,
}

impl RealServer {
    /// Its sessions are this device's.
    pub(crate) fn new(device_id: impl Into<String>) -> Self {
        Self {
            device_id: device_id.into(),
            last: Mutex::default(),
            extension: Mutex::default(),
        }
    }

    /// Whose session this answer opens or renews.
    fn know(&self, answer: &Result<LoginResponse, ClientError>) {
        if let Ok(session) = answer {
            *locked(&self.extension) = session.user.extension.clone();
        }
    }

    fn log<T>(&self, call: &str, contact: Option<&str>, answer: &Result<T, ClientError>) {
        let extension = locked(&self.extension).clone();
        let (extension, device) = (extension.as_deref().unwrap_or("none"), &self.device_id);
        let contact = contact.unwrap_or("none");
        match answer {
            Ok(_) => info!(extension, device, contact, "{call} succeeded"),
            Err(error) => info!(
                extension,
                device,
                contact,
                code = error.code(),
                "{call} failed"
            ),
        }
    }

    fn client(&self, server: &str) -> Result<Client, Failure> {
        let mut last = locked(&self.last);
        if let Some((address, client)) = &*last
            && address == server
        {
            return Ok(client.clone());
        }
        let client = Client::new(server)?.of_device(&self.device_id);
        *last = Some((server.to_owned(), client.clone()));
        Ok(client)
    }
}

impl Server for RealServer {
    async fn login(
        &self,
        server: String,
        mut request: LoginRequest,
    ) -> Result<LoginResponse, Failure> {
        let client = self.client(&server)?;
        // Whose it is, the answer says.
        *locked(&self.extension) = None;
        let answer = client.login(&request).await;
        request.password.zeroize();
        self.know(&answer);
        self.log("login", None, &answer);
        Ok(answer?)
    }

    async fn refresh(
        &self,
        server: String,
        refresh: Secret,
        key: Uuid,
    ) -> Result<LoginResponse, Failure> {
        let client = self.client(&server)?;
        let answer = client.under(key).refresh(refresh.expose()).await;
        self.know(&answer);
        self.log("refresh", None, &answer);
        Ok(answer?)
    }

    async fn agent_online(
        &self,
        server: String,
        token: Secret,
        request: AgentOnlineRequest,
        key: Uuid,
    ) -> Result<(), Failure> {
        let client = self.client(&server)?;
        let keyed = client.under(key);
        let answer = keyed.agent_online(token.expose(), &request).await;
        let contact = contact_name(&request.contact_uri);
        self.log("agent-online", contact, &answer);
        answer?;
        Ok(())
    }

    async fn agent_logout(
        &self,
        server: String,
        token: Secret,
        key: Uuid,
    ) -> Result<Vec<String>, Failure> {
        let client = self.client(&server)?;
        let answer = client
            .under(key)
            .agent_logout(token.expose(), &AgentLogoutRequest::default())
            .await;
        self.log("agent-logout", None, &answer);
        Ok(answer?.pending)
    }

    async fn explain(
        &self,
        server: String,
        token: Secret,
        Question { extension, at }: Question,
    ) -> Result<Explanation, Failure> {
        let client = self.client(&server)?;
        Ok(client.explain(token.expose(), &extension, at).await?)
    }

    async fn available(
        &self,
        server: String,
        token: Secret,
        extension: String,
    ) -> Result<Available, Failure> {
        let client = self.client(&server)?;
        Ok(client.available(token.expose(), &extension).await?)
    }

    async fn pause(
        &self,
        server: String,
        token: Secret,
        Pause { extension, reason }: Pause,
        key: Uuid,
    ) -> Result<(), Failure> {
        let client = self.client(&server)?;
        let keyed = client.under(key);
        let answer = keyed
            .pause(token.expose(), &extension, reason.as_deref())
            .await;
        self.log("pause", None, &answer);
        answer?;
        Ok(())
    }

    async fn link(
        &self,
        server: String,
        mut token: watch::Receiver<Secret>,
        mut heartbeats: mpsc::Receiver<DeviceHeartbeat>,
        events: mpsc::Sender<LinkEvent>,
    ) {
        let Ok(client) = self.client(&server) else {
            return;
        };
        let present = token.borrow_and_update().expose().to_owned();
        let (realtime, mut heard) = Realtime::connect(&client, present);
        loop {
            tokio::select! {
                event = heard.next() => {
                    let Some(event) = event else { return };
                    if events.send(in_our_words(event)).await.is_err() {
                        return;
                    }
                }
                Some(heartbeat) = heartbeats.recv() => realtime.heartbeat(heartbeat),
                Ok(()) = token.changed() => {
                    let renewed = token.borrow_and_update().expose().to_owned();
                    realtime.set_token(renewed);
                }
            }
        }
    }
}

fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The user part of a Contact, which is unique to device and run and no address.
fn contact_name(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once(':')?;
    Some(rest.split_once('@')?.0)
}

fn in_our_words(event: RealtimeEvent) -> LinkEvent {
    match event {
        RealtimeEvent::Connected => LinkEvent::Connected,
        RealtimeEvent::Snapshot(snapshot) => LinkEvent::Snapshot(snapshot),
        RealtimeEvent::Status(status) => LinkEvent::Status(Box::new(status)),
        RealtimeEvent::Gap => LinkEvent::Gap,
        RealtimeEvent::Lost { why, .. } => LinkEvent::Lost { message: why },
        RealtimeEvent::SessionEnded(ended) => LinkEvent::SessionEnded {
            reason: ended.reason,
            message: ended.message,
        },
        RealtimeEvent::Reregister => LinkEvent::Reregister,
        RealtimeEvent::Rejected(_) => LinkEvent::Unauthorised,
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let kind = match &error {
            _ if error.is_signed_out() => FailureKind::Unauthorised,
            _ if error.is_passing() => FailureKind::Retry,
            // A server that stumbled, is busy, or wants us slower.
            ClientError::Refused { status, .. } if *status >= 500 || *status == 429 => {
                FailureKind::Retry
            }
            _ => FailureKind::Refused,
        };
        let mut error = error.to_body();
        error.message = problem::sentence(error.message);
        Self { error, kind }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Arc;

    use rollcall_wire::http::ErrorBody;
    use serde_json::{Value, json};
    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers one request on each connection with the next of these; its address.
    async fn answering(answers: Vec<(u16, Value)>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            for (status, body) in answers {
                let mut stream = BufReader::new(listener.accept().await.unwrap().0);
                let mut length = 0;
                loop {
                    let mut line = String::new();
                    stream.read_line(&mut line).await.unwrap();
                    if line == "\r\n" {
                        break;
                    }
                    if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                }
                stream.read_exact(&mut vec![0; length]).await.unwrap();
                let body = body.to_string();
                let answer = format!(
                    "HTTP/1.1 {status} So\r\ncontent-type: application/json\r\nconnection: close\r\n\
                     content-length: {}\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        address
    }

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            locked(&self.0).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn the_log_says_at_info_what_the_server_answered_with_no_name_and_no_address() {
        let log = Log::default();
        let writer = log.clone();
        let logged = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let _logged = tracing::subscriber::set_default(logged);
        let refusal = json!({"code": "in_use", "message": "In use."});
        let server = answering(vec![
            (200, json!({
                "tokens": {"sip": "token-1", "refresh": "token-2"}, "expiresAt": 1,
                "user": {"username": "anna", "extension": "1001", "role": "agent", "pjsip": null},
            })),
            (409, refusal),
            (200, json!({"success": true, "pending": []})),
        ])
        .await;
        let api = RealServer::new("device-00001001");
        let request = LoginRequest {
            username: "anna".to_owned(),
            password: "hunter22".to_owned(),
            device_id: None,
        };
        api.login(server.clone(), request).await.unwrap();
        let token = || Secret::new("token-1".to_owned());
        let claim = AgentOnlineRequest {
            extension: "1001".to_owned(),
            contact_uri: "sip:1001-d00d-f00d@192.0.2.7:5060".to_owned(),
            take_over: false,
        };
        let online = api.agent_online(server.clone(), token(), claim, Uuid::nil());
        online.await.unwrap_err();
        let logout = api.agent_logout(server.clone(), token(), Uuid::nil());
        logout.await.unwrap();

        let text = String::from_utf8(locked(&log.0).clone()).unwrap();
        let ours: Vec<_> = text
            .lines()
            .filter(|line| line.contains(" INFO "))
            .filter_map(|line| Some(line.split_once("real_server: ")?.1))
            .collect();
        let of = r#"extension="1001" device="device-00001001""#;
        assert_eq!(
            ours,
            [
                format!(r#"login succeeded {of} contact="none""#),
                format!(r#"agent-online failed {of} contact="1001-d00d-f00d" code="in_use""#),
                format!(r#"agent-logout succeeded {of} contact="none""#),
            ]
        );
        for kept_out in ["anna", "hunter22", "token-", "192.0.2.7"] {
            assert!(!text.contains(kept_out), "{kept_out}: {text}");
        }
    }

    fn refused(status: u16) -> ClientError {
        ClientError::Refused {
            status,
            body: ErrorBody {
                code: "code".to_owned(),
                message: "message".to_owned(),
                field: None,
                next: None,
            },
        }
    }

    #[test]
    fn what_may_pass_is_tried_again_and_a_no_is_not() {
        let kind = |error: ClientError| Failure::from(error).kind;
        assert_eq!(
            kind(ClientError::ServerAway("x".to_owned())),
            FailureKind::Retry
        );
        for status in [429, 500, 502, 503] {
            assert_eq!(kind(refused(status)), FailureKind::Retry, "{status}");
        }
        assert_eq!(kind(refused(401)), FailureKind::Unauthorised);
        for status in [400, 403, 404, 409, 422] {
            assert_eq!(kind(refused(status)), FailureKind::Refused, "{status}");
        }
    }

    #[test]
    fn the_servers_own_code_and_words_reach_the_person() {
        let failure = Failure::from(refused(403));
        assert_eq!(failure.error.code, "code");
        assert_eq!(failure.error.message, "Message.");
    }
}
