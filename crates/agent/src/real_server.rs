//! The server as `rollcall-server-client` speaks with it.

use std::sync::{Mutex, PoisonError};

use rollcall_server_client::{Client, ClientError, Realtime, RealtimeEvent};
use rollcall_wire::explain::Explanation;
use rollcall_wire::http::{AgentLogoutRequest, AgentOnlineRequest, LoginRequest, LoginResponse};
use rollcall_wire::realtime::DeviceHeartbeat;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;
use zeroize::Zeroize;

use crate::{
    day::{Failure, FailureKind, LinkEvent},
    ports::{Question, Secret, Server},
    problem,
};

/// Keeps the connections to the server that was spoken with last.
#[derive(Debug)]
pub(crate) struct RealServer {
    device_id: String,
    last: Mutex<Option<(String, Client)>>,
}

impl RealServer {
    /// Its sessions are this device's.
    pub(crate) fn new(device_id: impl Into<String>) -> Self {
        Self {
            device_id: device_id.into(),
            last: Mutex::default(),
        }
    }

    fn client(&self, server: &str) -> Result<Client, Failure> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
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
        let answer = client.login(&request).await;
        request.password.zeroize();
        Ok(answer?)
    }

    async fn refresh(
        &self,
        server: String,
        refresh: Secret,
        key: Uuid,
    ) -> Result<LoginResponse, Failure> {
        let client = self.client(&server)?;
        Ok(client.under(key).refresh(refresh.expose()).await?)
    }

    async fn agent_online(
        &self,
        server: String,
        token: Secret,
        request: AgentOnlineRequest,
        key: Uuid,
    ) -> Result<(), Failure> {
        let client = self.client(&server)?;
        client
            .under(key)
            .agent_online(token.expose(), &request)
            .await?;
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
            .await?;
        Ok(answer.pending)
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
    use rollcall_wire::http::ErrorBody;

    use super::*;

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
