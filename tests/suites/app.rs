//! The real app, under Xvfb, through WebDriver, against the real server and Asterisk 22: one agent's day.
//!
//! Pictures of both windows are kept among the artefacts, for a person to look at.

use std::time::Duration;

use rollcall_e2e::asterisk::Settings;
use rollcall_e2e::database::{Database, Kind};
use rollcall_e2e::desktop::{BOARD, Desktop, PHONE};
use rollcall_e2e::phone::Phone;
use rollcall_e2e::server::{Options, SUPERVISOR};
use rollcall_e2e::waiting::PROMPTLY;
use rollcall_e2e::{Agent, Asterisk, Server, eventually};

const CALL: &str = "//*[@data-testid='call-card'][@data-call-state='active']";
/// What every board may take to show a login or a logout, in ms.
const ON_EVERY_BOARD: u64 = 1_000;
/// A boot, the server's back-off, the phone's retries; and a busy machine.
const RIGHT_AGAIN: Duration = Duration::from_secs(40);
/// What the app tries before it gives up: its bounded retries.
const GIVES_UP: Duration = Duration::from_secs(45);
const LOGIN: &str = "//input[@name='username']";

#[tokio::test]
async fn an_agents_day_from_sign_in_to_sign_out() {
    let (asterisk, server) = stage().await;
    let board = server.board(SUPERVISOR).await;
    let app = Desktop::open(&server).await;
    app.sees(LOGIN).await;
    app.picture("app-login").await;

    app.sign_in("1001", &Server::password("1001")).await;
    app.own_state("Available").await;
    board.shows("1001", "Available", PROMPTLY).await;
    assert_eq!(asterisk.contacts("1001").await.len(), 1);

    app.menu("Open board").await;
    app.window(BOARD).await;
    app.board_row("1001", "Available").await;
    app.board_row("1002", "Offline").await;

    app.window(PHONE).await;
    app.type_into("//form[@aria-label='Dial']//input", "600")
        .await;
    app.click("//form[@aria-label='Dial']//button[@type='submit']")
        .await;
    app.sees(CALL).await;
    app.own_state("On a call").await;
    app.picture("app-phone-in-call").await;
    app.window(BOARD).await;
    app.board_row("1001", "On a call").await;
    app.picture("app-board").await;

    app.window(PHONE).await;
    app.click("//button[starts-with(@aria-label, 'Hang up on')]")
        .await;
    app.own_state("Available").await;
    app.menu("Sign out").await;
    app.sees(LOGIN).await;
    board.shows("1001", "Offline", PROMPTLY).await;
    assert_eq!(asterisk.contacts("1001").await, []);
    let rows = server.rows("1001").await;
    assert!(
        rows.user == (false, false) && rows.contacts.iter().all(|(_, status)| status == "Expired"),
        "{rows:?}"
    );
}

/// The app speaks SIP over TLS here, with an Asterisk that nobody but the house's own authority vouches for.
#[tokio::test]
async fn a_call_that_comes_in_says_who_calls_and_is_answered_or_declined() {
    let asterisk = Asterisk::start(Settings::default()).await;
    let options = Options {
        registrar: Some((asterisk.sip_over_tls(), "tls")),
        sip_ca: Some(asterisk.certificate()),
        ..Options::default()
    };
    let server = Server::start_with(&asterisk, options).await;
    let app = Desktop::open(&server).await;
    app.sign_in("1001", &Server::password("1001")).await;
    app.own_state("Available").await;
    let listed = asterisk.rx("database show registrar/contact").await;
    let listed = listed.to_ascii_lowercase();
    assert!(listed.contains("transport=tls"), "{listed}");

    let mut first = Phone::of("1002", &asterisk).dialling("1001").start();
    app.sees("//*[@data-testid='incoming-call'][contains(., '1002')]")
        .await;
    app.picture("app-incoming").await;
    app.click("//button[starts-with(@aria-label, 'Answer')]")
        .await;
    first.event("answered").await;
    app.sees(CALL).await;
    assert!(first.program.terminate().await.success());
    app.own_state("Available").await;

    let second = Phone::of("1002", &asterisk).dialling("1001").start();
    app.click("//button[starts-with(@aria-label, 'Decline')]")
        .await;
    second.event("ended").await;
    assert!(
        second
            .program
            .events()
            .iter()
            .all(|event| event["event"] != "answered")
    );
}

#[tokio::test]
async fn a_wrong_password_is_said_and_never_kept() {
    let (_asterisk, server) = stage().await;
    let app = Desktop::open(&server).await;
    app.sign_in("1001", "a wrong password").await;
    app.sees("//*[@role='alert'][contains(., 'password')]")
        .await;
    app.picture("app-wrong-password").await;
    assert!(!app.log().contains("a wrong password"));
}

#[tokio::test]
async fn no_token_and_no_sip_password_reaches_a_page() {
    let (asterisk, server) = stage().await;
    let app = Desktop::open(&server).await;
    app.sign_in("1001", &Server::password("1001")).await;
    app.own_state("Available").await;
    app.menu("Open board").await;
    let secret = &asterisk.settings().people[0].password;
    for title in [PHONE, BOARD] {
        app.window(title).await;
        app.sees("//main").await;
        let kept = app
            .script("return JSON.stringify([localStorage, sessionStorage, document.cookie])")
            .await
            .to_string();
        let page = app.page().await;
        for word in [secret.as_str(), &server.url(), "Bearer"] {
            assert!(
                !page.contains(word) && !kept.contains(word),
                "{title} knows {word}"
            );
        }
    }
    assert!(!app.log().contains(secret.as_str()));
}

#[tokio::test]
async fn closing_the_app_signs_out_first() {
    let (asterisk, server) = stage().await;
    let board = server.board(SUPERVISOR).await;
    let app = Desktop::open(&server).await;
    app.sign_in("1001", &Server::password("1001")).await;
    board.shows("1001", "Available", PROMPTLY).await;
    app.close().await;
    board.shows("1001", "Offline", PROMPTLY).await;
    eventually("the contact is gone", PROMPTLY, async || {
        match asterisk.contacts("1001").await {
            listed if listed.is_empty() => Ok(()),
            listed => Err(format!("{listed:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn the_dashboard_window_shows_a_login_and_a_logout_within_a_second() {
    let (_asterisk, server) = stage().await;
    let app = supervisors_board(&server).await;
    app.board_row("1001", "Offline").await;
    app.watch_row("1001").await;

    let mut agent = Agent::new("1001").start(&server);
    let online = agent.time_of("online").await;
    app.board_row("1001", "Available").await;
    let shown = app.row_first_said("1001", "Available").await;
    assert!(
        shown.saturating_sub(online) <= ON_EVERY_BOARD,
        "Available {} ms after agent-online",
        shown.saturating_sub(online)
    );

    app.watch_row("1001").await;
    assert!(agent.terminate().await.success());
    let signed_out = agent.time_of("signed_out").await;
    app.board_row("1001", "Offline").await;
    let shown = app.row_first_said("1001", "Offline").await;
    assert!(
        shown.saturating_sub(signed_out) <= ON_EVERY_BOARD,
        "Offline {} ms after the logout",
        shown.saturating_sub(signed_out)
    );
}

#[tokio::test]
async fn a_click_on_a_row_says_why_and_what_would_have_to_change_for_available() {
    let (_asterisk, server) = stage().await;
    let app = supervisors_board(&server).await;
    app.board_row("1001", "Offline").await;
    app.click("//*[@role='row']//*[text()='1001']").await;
    let drawer =
        |words: &str| format!("//*[@role='dialog'][contains(., '1001')][contains(., \"{words}\")]");
    app.sees(&drawer("What would have to change for Available"))
        .await;
    app.sees(&drawer("Signed in: no")).await;
    app.picture("app-explain").await;

    let _agent = Agent::new("1001").start(&server);
    app.sees(&drawer("Nothing: calls reach this agent.")).await;
    app.sees(&drawer("Signed in: yes")).await;
    app.click("//*[@role='dialog']//button[@aria-label='Close']")
        .await;
    app.board_row("1001", "Available").await;
}

#[tokio::test]
async fn whatever_goes_away_is_named_in_both_windows_and_nobody_stays_green() {
    let (mut asterisk, mut server) = stage().await;
    let _colleague = Agent::new("1002").start(&server);
    let app = Desktop::open(&server).await;
    app.sign_in("1001", &Server::password("1001")).await;
    app.own_state("Available").await;
    app.menu("Open board").await;
    app.window(BOARD).await;
    app.board_row("1002", "Available").await;

    asterisk.kill();
    app.board_row("1002", "Unknown").await;
    app.sees("//*[@data-source='ami'][@data-lost]").await;
    app.sees("//*[@role='alert'][contains(., 'Out of sight: AMI')]")
        .await;
    app.picture("app-board-without-asterisk").await;
    app.window(PHONE).await;
    app.own_state("Unknown").await;
    app.picture("app-phone-without-asterisk").await;
    asterisk.boot().await;
    app.own_state_within("Available", RIGHT_AGAIN).await;

    server.stop().await;
    app.own_state("Unknown").await;
    app.sees("//footer[@aria-label='Connections'][contains(., 'Server lost')]")
        .await;
    app.picture("app-phone-without-server").await;
    app.window(BOARD).await;
    app.board_row("1002", "Unknown").await;
    app.sees("//*[@role='alert'][contains(., 'Out of sight: Server')]")
        .await;
    app.board_row("1002", "was Available").await;
    app.picture("app-board-without-server").await;
    server.serve().await;
    app.window(PHONE).await;
    app.own_state_within("Available", RIGHT_AGAIN).await;
    app.window(BOARD).await;
    app.board_row("1002", "Available").await;
}

#[tokio::test]
async fn an_app_and_a_database_that_fall_silent_are_named_on_the_dashboard_with_their_age() {
    const AVAILABLE: &str = "//*[@role='row'][contains(., '1001')][contains(., 'Available')]";
    let asterisk = Asterisk::start(Settings::default()).await;
    let database = Database::start(Kind::Postgres).await;
    database.make("rollcall").await;
    let options = Options {
        database: Some(database.named("rollcall")),
        ..Options::default()
    };
    let server = Server::start_with(&asterisk, options).await;
    let agent = Agent::new("1001").start(&server);
    let app = supervisors_board(&server).await;
    app.board_row("1001", "Available").await;

    agent.freeze();
    // The next column says for how long.
    app.board_row("1001", "The app has not been heard from.00:0")
        .await;
    app.picture("app-board-with-a-silent-app").await;
    agent.thaw();
    app.sees_within(AVAILABLE, RIGHT_AGAIN).await;

    database.freeze();
    app.board_row("1001", "Unknown").await;
    app.sees("//*[@data-source='database'][@data-lost][contains(., 'unknown for')]")
        .await;
    app.sees("//*[@role='alert'][contains(., 'Out of sight: Database')]")
        .await;
    app.picture("app-board-without-a-database").await;
    database.thaw();
    app.sees_within(AVAILABLE, RIGHT_AGAIN).await;
}

#[tokio::test]
async fn a_sign_in_that_finds_nobody_says_who_is_missing_and_what_to_do() {
    let (mut asterisk, mut server) = stage().await;
    let app = Desktop::open(&server).await;
    server.stop().await;
    app.sign_in("1001", &Server::password("1001")).await;
    app.sees_within("//*[@role='alert'][contains(., 'server')]", GIVES_UP)
        .await;
    app.picture("app-login-without-server").await;

    server.serve().await;
    asterisk.kill();
    app.click("//button[@type='submit']").await;
    app.sees_within(
        "//*[@role='alert'][contains(., 'telephone server')]",
        GIVES_UP,
    )
    .await;
    app.picture("app-phone-without-registrar").await;
    // Nor does the server hear Asterisk.
    app.own_state("Unknown").await;
    asterisk.boot().await;
    app.own_state_within("Available", RIGHT_AGAIN).await;
}

/// The app as a supervisor has it, the dashboard in front.
async fn supervisors_board(server: &Server) -> Desktop {
    let app = Desktop::open(server).await;
    app.sign_in(SUPERVISOR, &Server::password(SUPERVISOR)).await;
    app.menu("Open board").await;
    app.window(BOARD).await;
    app
}

async fn stage() -> (Asterisk, Server) {
    let asterisk = Asterisk::start(Settings::default()).await;
    let server = Server::start(&asterisk).await;
    (asterisk, server)
}
