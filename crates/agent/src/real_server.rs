//! The server behind [`Server`]: `rollcall-server-client`.

use rollcall_wire::http::{AgentOnlineRequest, LoginRequest, LoginResponse};
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use crate::{
    day::{Failure, FailureKind, LinkEvent},
    ports::{Secret, Server, Upward},
    problem,
};

#[derive(Debug, Default)]
pub(crate) struct RealServer {}

fn nowhere() -> Failure {
    Failure {
        error: problem::new("server_unreachable", "There is no server.", ""),
        kind: FailureKind::Retry,
    }
}

impl Server for RealServer {
    async fn login(&self, _: String, _: LoginRequest) -> Result<LoginResponse, Failure> {
        Err(nowhere())
    }
    async fn refresh(&self, _: String, _: Secret) -> Result<LoginResponse, Failure> {
        Err(nowhere())
    }
    async fn agent_online(
        &self,
        _: String,
        _: Secret,
        _: Uuid,
        _: AgentOnlineRequest,
    ) -> Result<(), Failure> {
        Err(nowhere())
    }
    async fn agent_logout(&self, _: String, _: Secret, _: Uuid) -> Result<Vec<String>, Failure> {
        Err(nowhere())
    }
    async fn link(
        &self,
        _: String,
        _: watch::Receiver<Secret>,
        _: mpsc::Receiver<Upward>,
        _: mpsc::UnboundedSender<LinkEvent>,
    ) {
    }
}
