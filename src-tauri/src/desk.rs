//! The desktop's own state around the agent: what it was told, what it remembers, how it ends.
//!
//! Forwards to the agent; decides nothing about a call, a registration or the board.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use rollcall_agent::{AgentHandle, Stage, When};
use rollcall_wire::{
    http::ErrorBody,
    ui::{DashboardView, PhoneView, SignIn},
};
use tokio::sync::watch;

use crate::{
    controller::{self, Facts},
    settings::Remembered,
};

/// How long the end of the program takes at most. Service managers and `cargo xtask run` send TERM and, five seconds
/// later, KILL; the sign-out's own bounds for the end of a program (four seconds in all) lie below.
pub(crate) const FAREWELL: Duration = Duration::from_millis(4_500);

/// The desktop's own state.
#[derive(Debug)]
pub struct Desk {
    agent: AgentHandle,
    facts: watch::Sender<Facts>,
    folder: PathBuf,
    left: AtomicBool,
    #[cfg(feature = "embedded")]
    here: tokio::sync::Mutex<Option<crate::embedded::Here>>,
}

impl Desk {
    /// A desk whose memory is in `folder`.
    pub fn new(agent: AgentHandle, facts: watch::Sender<Facts>, folder: PathBuf) -> Self {
        Self {
            agent,
            facts,
            folder,
            left: AtomicBool::new(false),
            #[cfg(feature = "embedded")]
            here: tokio::sync::Mutex::default(),
        }
    }

    /// The agent.
    pub fn agent(&self) -> &AgentHandle {
        &self.agent
    }

    /// What only the desktop knows, now and whenever it changes.
    pub fn facts(&self) -> watch::Receiver<Facts> {
        self.facts.subscribe()
    }

    /// The phone window, now.
    pub fn phone_view(&self) -> PhoneView {
        controller::phone_view(&self.agent.state().borrow(), &self.facts.borrow())
    }

    /// The dashboard window, now.
    pub fn dashboard_view(&self) -> DashboardView {
        controller::dashboard_view(&self.agent.state().borrow())
    }

    /// Signs in, and remembers server and name once that worked.
    pub async fn sign_in(&self, request: SignIn) -> Result<(), ErrorBody> {
        let remembered = Remembered {
            server: request.server.trim().to_owned(),
            username: request.username.trim().to_owned(),
        };
        self.facts.send_modify(|facts| {
            facts.server.clone_from(&remembered.server);
            facts.username.clone_from(&remembered.username);
            facts.start_error = None;
        });
        self.agent
            .sign_in(request.server, request.username, request.password)
            .await?;
        if let Err(error) = remembered.write(&self.folder) {
            tracing::warn!(%error, "server and name could not be remembered");
        }
        Ok(())
    }

    /// Goes on with the session of a run that did not get to sign out, if there is one. Without the server's consent
    /// the login screen is there, with the name filled in.
    pub async fn resume(&self) {
        let Some(kept) = self.agent.kept().await else {
            return;
        };
        let known = self.facts.borrow().server.clone();
        if !known.is_empty() && known.trim_end_matches('/') != kept.server {
            tracing::info!("the session that was kept is another server's");
            return self.agent.forget_kept();
        }
        self.facts.send_modify(|facts| {
            facts.server.clone_from(&kept.server);
            facts.username.clone_from(&kept.username);
        });
        match self.agent.resume(kept).await {
            Ok(()) => tracing::info!("the session of the last run goes on"),
            Err(error) => tracing::info!(code = error.code, "the session is not resumed"),
        }
    }

    /// Starts the server and the pocket PBX in this process, and fills in the login screen.
    #[cfg(feature = "embedded")]
    pub async fn try_here(&self) -> Result<(), ErrorBody> {
        let mut here = self.here.lock().await;
        if here.is_some() {
            return Ok(());
        }
        self.facts.send_modify(|facts| {
            facts.starting = true;
            facts.start_error = None;
        });
        let started = crate::embedded::start(&self.folder).await;
        let result = started.map_err(|error| ErrorBody {
            code: "try_here_failed".to_owned(),
            message: format!("The server could not be started on this computer: {error:#}."),
            field: None,
            next: Some("Free what it names, and try again.".to_owned()),
        });
        self.facts.send_modify(|facts| {
            facts.starting = false;
            match &result {
                Ok(started) => {
                    facts.server = started.server();
                    facts.own_server = Some(started.server());
                    facts.username.clear();
                    facts.demo = Some(started.demo().clone());
                }
                Err(error) => facts.start_error = Some(error.clone()),
            }
        });
        *here = Some(result?);
        Ok(())
    }

    /// This build has no server in it.
    #[cfg(not(feature = "embedded"))]
    pub async fn try_here(&self) -> Result<(), ErrorBody> {
        Err(ErrorBody {
            code: "not_in_this_build".to_owned(),
            message: "This build of Rollcall has no server in it.".to_owned(),
            field: None,
            next: Some("Ask your administrator for a server's address.".to_owned()),
        })
    }

    /// Signs out and ends what was started here, within bounds. True for the first caller only.
    pub async fn leave(&self) -> bool {
        if self.left.swap(true, Ordering::SeqCst) {
            return false;
        }
        self.facts.send_modify(|facts| facts.closing = true);
        if tokio::time::timeout(FAREWELL, self.say_farewell())
            .await
            .is_err()
        {
            tracing::warn!("not everything ended in time");
        }
        true
    }

    async fn say_farewell(&self) {
        let signed_out = matches!(self.agent.state().borrow().stage, Stage::SignedOut { .. });
        if !signed_out {
            match self.agent.sign_out(When::Now).await {
                Ok(out) if out.pending.is_empty() => tracing::info!("signed out"),
                Ok(out) => tracing::warn!(pending = ?out.pending, "signed out in part"),
                Err(error) => tracing::warn!(code = error.code, "not signed out"),
            }
        }
        self.agent.kept_is_settled().await;
        #[cfg(feature = "embedded")]
        if let Some(here) = self.here.lock().await.take() {
            here.shutdown().await;
        }
    }
}
