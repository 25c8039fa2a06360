//! `cargo xtask run`, as a newcomer meets it: the day without a display, the window, the two ways to end it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use rollcall_e2e::asterisk::Settings;
use rollcall_e2e::server::token_at;
use rollcall_e2e::waiting::PROMPTLY;
use rollcall_e2e::{Board, Display, PocketPbx, Program, Pulse, Server, eventually, surroundings};
use tempfile::TempDir;

/// The whole day, or one start of everything, on a busy machine.
const A_DAY: Duration = Duration::from_secs(90);
/// The app's title, as its frame would have it.
const PHONE: &str = "Rollcall";

#[tokio::test]
async fn without_a_display_the_day_is_played_and_the_board_printed_live() {
    let mut run = Run::start(None, None);
    let status = run.program.ended(A_DAY).await;
    assert!(status.success(), "{status}");
    run.said_in_order(&[
        "there is no display here",
        "board: 1002  Available",
        "1001 signs in",
        "board: 1001  Available",
        "1001 signs out",
        "board: 1001  Offline",
        "calls 600, the echo",
        "board: 1001  OnCall",
        "board: 1001  Offline",
        "calls 1002, the other agent",
        "board: 1001  OnCall",
        "board: 1001  Offline",
        "verdict: all went well",
        "==> ending",
        "the server ended",
        "the pocket PBX ended",
    ]);
    run.left_nothing();
}

#[tokio::test]
async fn closing_the_window_signs_out_and_ends_everything_and_nothing_else() {
    let (pbx, mut bystander) = bystander().await;
    let (display, headset) = (Display::start().await, Pulse::start().await);
    let mut run = Run::start(Some(&display), Some(&headset));
    let board = run.board().await;
    sign_in(&display, &board).await;

    display.closes(PHONE);
    let status = run.program.ended(A_DAY).await;
    assert!(status.success(), "{status}");
    signed_out_before_the_server_went(&board);
    run.said_in_order(&[
        "==> ending",
        "agent 1002 ended",
        "the server ended",
        "the pocket PBX ended",
    ]);
    run.left_nothing();
    assert_eq!(
        bystander.get("/healthz").await.status,
        200,
        "another server goes on"
    );
    bystander.stop().await;
    drop(pbx);
}

#[tokio::test]
async fn ctrl_c_signs_out_and_ends_everything_in_order() {
    let (display, headset) = (Display::start().await, Pulse::start().await);
    let mut run = Run::start(Some(&display), Some(&headset));
    let board = run.board().await;
    sign_in(&display, &board).await;

    kill(run.program.pid(), Signal::SIGINT).unwrap();
    let status = run.program.ended(A_DAY).await;
    assert!(status.success(), "{status}");
    signed_out_before_the_server_went(&board);
    run.said_in_order(&[
        "==> ending",
        "the app ended",
        "agent 1002 ended",
        "the server ended",
        "the pocket PBX ended",
    ]);
    run.left_nothing();
}

#[tokio::test]
async fn a_killed_run_takes_its_children_with_it() {
    let display = Display::start().await;
    let mut run = Run::start(Some(&display), None);
    run.says("the app is open").await;
    let folder = run.folder();
    assert!(
        processes_of(&folder) >= 4,
        "pocket PBX, server, agent and app"
    );
    kill(run.program.pid(), Signal::SIGKILL).unwrap();
    run.program.ended(PROMPTLY).await;
    eventually(
        "nothing of the demo runs",
        PROMPTLY,
        async || match processes_of(&folder) {
            0 => Ok(()),
            count => Err(format!("{count} processes")),
        },
    )
    .await;
    fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_second_run_names_the_first_and_leaves_it_alone() {
    let display = Display::start().await;
    let mut first = Run::start(Some(&display), None);
    first.says("the app is open").await;
    let mut second = first.another();
    assert!(!second.ended(PROMPTLY).await.success());
    let words = second.complaints().join("\n");
    assert!(
        words.contains("the demo runs already") && words.contains(&first.program.pid().to_string()),
        "{words}"
    );
    assert!(first.program.is_running());
    kill(first.program.pid(), Signal::SIGINT).unwrap();
    assert!(first.program.ended(A_DAY).await.success());
}

/// A person at the keyboard signs in as 1001, as the login screen says.
async fn sign_in(display: &Display, board: &Board) {
    display.look_at(PHONE).await;
    display.types("1001\tdemo-1001\n");
    board.shows("1001", "Available", A_DAY).await;
}

fn signed_out_before_the_server_went(board: &Board) {
    let events = board.program().events();
    let at = |what: &str, wanted: &dyn Fn(&serde_json::Value) -> bool| {
        events
            .iter()
            .rposition(wanted)
            .unwrap_or_else(|| panic!("the board never saw: {what}; {events:?}"))
    };
    let offline = at("1001 is Offline", &|event| {
        event["data"]["extension"] == "1001" && event["data"]["status"] == "Offline"
    });
    let gone = at("the server is gone", &|event| {
        event["event"] == "disconnect"
    });
    assert!(offline < gone, "{events:?}");
}

/// A server that this run did not start.
async fn bystander() -> (PocketPbx, Server) {
    let pbx = PocketPbx::start(Settings::default()).await;
    let server = Server::start(&pbx).await;
    (pbx, server)
}

/// A demo that runs, with a cache and a folder for temporary files of its own.
struct Run {
    program: Program,
    _home: TempDir,
    environment: Vec<(String, OsString)>,
}

impl Run {
    fn start(display: Option<&Display>, headset: Option<&Pulse>) -> Run {
        let home = tempfile::Builder::new().prefix("rcr").tempdir().unwrap();
        let display = display.map(Display::name).unwrap_or_default();
        let mut environment = headset.map(Pulse::environment).unwrap_or_default();
        let own = [
            ("DISPLAY", OsStr::new(display)),
            ("WAYLAND_DISPLAY", OsStr::new("")),
            ("GDK_BACKEND", OsStr::new("x11")),
            ("NO_AT_BRIDGE", OsStr::new("1")),
            ("XDG_CACHE_HOME", home.path().as_os_str()),
            ("TMPDIR", home.path().as_os_str()),
        ];
        environment.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
        Run {
            program: launch(&environment),
            _home: home,
            environment,
        }
    }

    /// The same command once more.
    fn another(&self) -> Program {
        launch(&self.environment)
    }

    async fn says(&self, words: &str) -> String {
        let found = async || {
            let lines = self.program.lines();
            let line = lines.iter().find(|line| line.contains(words)).cloned();
            line.ok_or_else(|| format!("{lines:?}"))
        };
        eventually(&format!("the run says {words:?}"), A_DAY, found).await
    }

    /// The supervisor's board.
    async fn board(&self) -> Board {
        let line = self.says("the server: http").await;
        let url = line
            .split_whitespace()
            .last()
            .unwrap_or_default()
            .to_owned();
        self.says("the app is open").await;
        Board::watch(&url, &token_at(&url, "super", "demo-super").await).await
    }

    /// The folder of the demo's files.
    fn folder(&self) -> PathBuf {
        let lines = self.program.lines();
        let line = lines
            .iter()
            .find_map(|line| line.strip_prefix("==> the demo's folder: "));
        let path = line.and_then(|line| line.split(" (").next());
        PathBuf::from(path.unwrap_or_else(|| panic!("{lines:?}")))
    }

    fn said_in_order(&self, wanted: &[&str]) {
        let lines = self.program.lines();
        let mut rest = lines.iter();
        for words in wanted {
            assert!(
                rest.any(|line| line.contains(words)),
                "{words:?} is missing, or in the wrong place:\n{}",
                lines.join("\n")
            );
        }
    }

    /// Neither files nor processes.
    fn left_nothing(&self) {
        let folder = self.folder();
        assert!(!folder.exists(), "{}", folder.display());
        assert_eq!(processes_of(&folder), 0, "{}", folder.display());
    }
}

fn launch(environment: &[(String, OsString)]) -> Program {
    let environment: Vec<(&str, &OsStr)> = environment
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_os_str()))
        .collect();
    Program::start(
        &surroundings::binary("xtask"),
        ["run", "--built"],
        &environment,
    )
}

/// How many processes name `folder` in their arguments or their environment.
fn processes_of(folder: &std::path::Path) -> usize {
    let listed = Command::new("pgrep")
        .args(["--full", "--count"])
        .arg(folder)
        .output()
        .unwrap();
    let by_arguments: usize = String::from_utf8_lossy(&listed.stdout)
        .trim()
        .parse()
        .unwrap();
    by_arguments + by_environment(folder)
}

/// The app is told by its environment alone.
fn by_environment(folder: &std::path::Path) -> usize {
    let needle = folder.as_os_str().as_encoded_bytes();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter(|entry| {
            let ours = fs::read_link(entry.path().join("exe"))
                .is_ok_and(|path| path == surroundings::binary("rollcall"));
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            ours && environment.windows(needle.len()).any(|part| part == needle)
        })
        .count()
}
