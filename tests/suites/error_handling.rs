//! The seed's section "Error Handling", sentence by sentence.

use std::time::{Duration, Instant};

use rollcall_e2e::relay::{Fault, Relay};
use rollcall_e2e::scene::{Mode, Scene};
use rollcall_e2e::waiting::PROMPTLY;
use rollcall_e2e::{Agent, Program, eventually};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Executor as _, SqliteConnection};

const LOGIN: &str = "/api/users/login";
const ONLINE: &str = "POST /api/users/agent-online";
const LOGOUT: &str = "POST /api/users/agent-logout";
/// The server's back-off, its grace, the app's retries; and a busy machine.
const IN_THE_END: Duration = Duration::from_secs(40);

/// "Graceful Degradation"
mod graceful_degradation {
    use super::*;

    /// "If `agent-online` fails, SIP still works (status may be inconsistent)": the phone calls, and the board does not
    /// say Available of an agent who never said so; told later, it is right by itself.
    #[tokio::test]
    async fn if_agent_online_fails_sip_still_works() {
        let scene = Scene::start(Mode::Mirror).await;
        let between = Relay::to(scene.server.port());
        between.spoil(ONLINE, Fault::Refused);
        let agent = Agent::new("1001")
            .with(["--dial", "600"])
            .start_at(&url(&between));
        said(&agent, "online_failed").await;
        on_a_call(&scene, "1001").await;
        assert_eq!(scene.board.first_said("1001", "Available", 0), None);
        between.spare();
        eventually("the server is told after all", IN_THE_END, async || {
            let events = agent.events();
            let told = events.iter().any(|event| event["event"] == "online");
            if told {
                Ok(())
            } else {
                Err(format!("{:?}", events.last()))
            }
        })
        .await;
        scene.board.shows("1001", "OnCall", PROMPTLY).await;
    }

    /// "If `agent-logout` fails, force cleanup continues": the phone leaves the registrar, the app says what is not
    /// confirmed, and the lease ends.
    #[tokio::test]
    async fn if_agent_logout_fails_the_cleanup_goes_on() {
        let scene = Scene::start(Mode::Mirror).await;
        let between = Relay::to(scene.server.port());
        let mut agent = Agent::new("1001").start_at(&url(&between));
        scene.board.shows("1001", "Available", PROMPTLY).await;
        between.spoil(LOGOUT, Fault::Refused);
        let status = agent.terminate().await;
        assert_eq!(status.code(), Some(4), "it is not confirmed");
        let told = said(&agent, "signed_out").await;
        assert_eq!(told["pending"], json!(["server"]), "{told}");
        nobody_registered(&scene, "1001").await;
        let gone =
            |agent: &Value| agent["status"] != "Available" && agent["sipRegistered"] == false;
        scene
            .board
            .shows_where("1001", "not there", PROMPTLY, gone)
            .await;
    }

    /// "Database errors don't prevent core functionality": who is signed in calls and is seen, who is not is told why,
    /// and nothing half-done is left.
    #[tokio::test]
    async fn a_database_error_does_not_prevent_core_functionality() {
        let scene = Scene::start(Mode::Mirror).await;
        let _agent = scene.signed_in("1001").await;
        // The ledger goes on: it will say that the database was out of sight.
        let written = async || {
            let mut lines = scene.server.everything_written().await;
            lines.retain(|line| !line.starts_with("ledger: "));
            lines
        };
        let before = written().await;
        let mut held = hold_database(&scene).await;
        let credentials = json!({ "username": "1002", "password": "password of 1002" });
        let refused = scene.server.post(LOGIN, None, &credentials).await;
        assert_eq!(
            (refused.status, &refused.body["code"]),
            (503, &json!("database_down")),
            "{refused:?}"
        );
        assert!(
            refused.body["next"].is_string(),
            "it says what to do: {refused:?}"
        );
        assert_eq!(scene.server.get("/healthz").await.status, 200);
        assert_eq!(
            scene.server.get("/readyz").await.status,
            503,
            "it says that it cannot serve all"
        );
        let listed = scene.asterisk.contacts("1001").await;
        assert_eq!(listed.len(), 1, "the phone stays registered");
        let release = held.execute("ROLLBACK").await;
        release.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(written().await, before, "nothing was written");
        let _other = scene.signed_in("1002").await;
        scene.all_say_available("1001").await;
    }
}

/// "Retry Mechanisms"
mod retry_mechanisms {
    use super::*;

    /// "Frontend API calls have timeouts": a server that takes requests and never answers keeps nobody.
    #[tokio::test]
    async fn the_apps_calls_have_time_outs() {
        let scene = Scene::start(Mode::Mirror).await;
        let between = Relay::to(scene.server.port());
        let mut agent = Agent::new("1001").start_at(&url(&between));
        scene.board.shows("1001", "Available", PROMPTLY).await;
        between.spoil("POST ", Fault::Swallowed);
        let begun = Instant::now();
        assert!(
            !agent.terminate().await.success(),
            "the sign-out is not confirmed"
        );
        assert!(begun.elapsed() < PROMPTLY, "{:?}", begun.elapsed());
        nobody_registered(&scene, "1001").await;
    }

    /// ... and are tried again: an answer that was lost is heard by the retry, and the thing is done once.
    #[tokio::test]
    async fn a_call_whose_answer_was_lost_is_repeated_and_done_once() {
        let scene = Scene::start(Mode::Mirror).await;
        let between = Relay::to(scene.server.port());
        for path in [ONLINE, LOGOUT] {
            between.spoil(path, Fault::AnswerLostOnce);
        }
        let mut agent = Agent::new("1001").start_at(&url(&between));
        scene.board.shows("1001", "Available", PROMPTLY).await;
        said(&agent, "online").await;
        assert!(
            agent.terminate().await.success(),
            "the logout is confirmed by its retry"
        );
        scene.all_say_offline("1001").await;
        assert_eq!(intents(&scene, "agent_online").await, 1);
        assert_eq!(intents(&scene, "agent_logout").await, 1);
    }

    /// The same with a server that was restarted between the request and its retry.
    #[tokio::test]
    async fn a_logout_whose_answer_a_restart_swallowed_is_confirmed_by_its_retry() {
        let mut scene = Scene::start(Mode::Mirror).await;
        let token = scene.server.token("1001").await;
        let logout = async |scene: &Scene| {
            let request = reqwest::Client::new()
                .post(format!("{}/api/users/agent-logout", scene.server.url()))
                .bearer_auth(&token)
                .header("idempotency-key", "the-one-logout");
            let answer = request.send().await;
            answer.map(|answer| answer.status().as_u16())
        };
        assert_eq!(logout(&scene).await.ok(), Some(200));
        scene.server.kill();
        assert!(logout(&scene).await.is_err());
        scene.server.serve().await;
        assert_eq!(logout(&scene).await.ok(), Some(200));
    }

    /// "AMI service handles connection failures": out of sight is said at once, and mends by itself.
    #[tokio::test]
    async fn the_ami_service_handles_connection_failures() {
        let scene = Scene::start(Mode::Mirror).await;
        let _agent = scene.signed_in("1001").await;
        for _ in 0..2 {
            scene.server.ami().cut();
            scene.board.shows("1001", "Unknown", PROMPTLY).await;
            scene.server.ami().mend();
            scene.board.shows("1001", "Available", IN_THE_END).await;
        }
        let figures = scene.server.figures().await;
        assert!(
            figures.contains("rollcall_ami_losses_total{reason=\"closed_by_peer\"}"),
            "{figures}"
        );
        let figure = |name: &str| -> Option<f64> {
            let line = figures.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().parse().ok()
        };
        assert_eq!(figure("rollcall_ami_up "), Some(1.0), "{figures}");
        let age = figure("rollcall_ami_age_seconds ").expect("Asterisk was heard");
        assert!(age < IN_THE_END.as_secs_f64(), "{figures}");
        scene.all_say_available("1001").await;
    }
}

/// "Fallback Strategies"
mod fallback_strategies {
    use super::*;

    /// "Use existing PJSIP cleanup if AMI fails": the phone itself leaves the registrar. And "Clear cache on errors to
    /// force refresh": what happened out of sight is on the board once it is in sight.
    #[tokio::test]
    async fn without_ami_the_phone_cleans_up_and_nothing_old_is_believed_afterwards() {
        let scene = Scene::start(Mode::Mirror).await;
        let mut agent = scene.signed_in("1001").await;
        scene.server.ami().cut();
        scene.board.shows("1001", "Unknown", PROMPTLY).await;
        let cut_at = Instant::now();
        agent.terminate().await;
        assert!(cut_at.elapsed() < IN_THE_END);
        nobody_registered(&scene, "1001").await;
        scene.server.ami().mend();
        scene.board.shows("1001", "Offline", IN_THE_END).await;
        scene.all_say_offline("1001").await;
    }

    /// "Maintain local state even if backend is unreachable": the call goes on, another can be made, and when the
    /// server is back it learns of everything by itself.
    #[tokio::test]
    async fn the_app_keeps_its_state_while_the_server_is_unreachable() {
        let mut scene = Scene::start(Mode::Mirror).await;
        let agent = Agent::new("1001")
            .with(["--dial", "600"])
            .start(&scene.server);
        scene.board.shows("1001", "OnCall", PROMPTLY).await;
        scene.server.kill();
        eventually(
            "the app sees that the server is away",
            PROMPTLY,
            async || {
                let away = agent
                    .events()
                    .iter()
                    .any(|event| event["event"] == "server" && event["ok"] == false);
                if away {
                    Ok(())
                } else {
                    Err("it does not".to_owned())
                }
            },
        )
        .await;
        on_a_call(&scene, "1001").await;
        assert_eq!(
            scene.asterisk.contacts("1001").await.len(),
            1,
            "it stays registered"
        );
        scene.server.serve().await;
        scene.board.shows("1001", "OnCall", IN_THE_END).await;
        on_a_call(&scene, "1001").await;
    }
}

fn url(relay: &Relay) -> String {
    format!("http://127.0.0.1:{}", relay.port())
}

async fn said(agent: &Program, name: &str) -> Value {
    agent
        .event_within(name, IN_THE_END, |event| {
            (event["event"] == name).then(|| event.clone())
        })
        .await
}

async fn on_a_call(scene: &Scene, extension: &str) {
    eventually("the call is up", IN_THE_END, async || {
        let channels = scene.asterisk.rx("core show channels concise").await;
        let mut lines = channels.lines();
        let up = lines
            .any(|line| line.starts_with(&format!("PJSIP/{extension}-")) && line.contains("!Up!"));
        if up { Ok(()) } else { Err(channels) }
    })
    .await;
}

async fn nobody_registered(scene: &Scene, extension: &str) {
    eventually("Asterisk lists no contact", PROMPTLY, async || {
        let listed = scene.asterisk.contacts(extension).await;
        if listed.is_empty() {
            Ok(())
        } else {
            Err(format!("{listed:?}"))
        }
    })
    .await;
}

/// How often the ledger has an intent.
async fn intents(scene: &Scene, what: &str) -> i64 {
    let mut database = scene.server.database().await;
    sqlx::query_scalar("SELECT count(*) FROM ledger WHERE kind = 'intent' AND what = ?")
        .bind(what.to_owned())
        .fetch_one(&mut database)
        .await
        .unwrap_or_else(|error| panic!("the ledger: {error}"))
}

/// Holds the database as another process would that writes and does not end.
async fn hold_database(scene: &Scene) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(scene.server.database_file());
    let mut held = options
        .connect()
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    let begun = held.execute("BEGIN IMMEDIATE").await;
    begun.unwrap_or_else(|error| panic!("{error}"));
    held
}
