//! The real app in a window of its own display, driven through WebKitWebDriver as a person would: by what it shows.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use tempfile::TempDir;

use crate::display::Display;
use crate::ports::Port;
use crate::program::Program;
use crate::pulse::Pulse;
use crate::server::Server;
use crate::surroundings;
use crate::waiting::eventually;

/// A web view on two busy cores takes its time over the first page.
const FIRST_PAGE: Duration = Duration::from_secs(60);
/// What a person would call an instant reaction, on a busy machine.
const REACTION: Duration = Duration::from_secs(15);

/// Notes each reading of a row as the page draws it.
const WATCH_ROW: &str = "\
window.rowNotes = [];
window.rowWatcher?.disconnect();
window.rowWatcher = new MutationObserver(() => {
  for (const row of document.querySelectorAll(\"[role=row]\"))
    if (row.textContent.includes(\"EXTENSION\")) window.rowNotes.push({ t: Date.now(), text: row.textContent });
});
window.rowWatcher.observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });";

/// The app's two windows, by title.
pub const PHONE: &str = "Rollcall";
/// The dashboard window's title.
pub const BOARD: &str = "Rollcall board";

/// A running app.
#[derive(Debug)]
pub struct Desktop {
    client: Client,
    _driver: Program,
    _display: Display,
    _driver_port: Port,
    folder: TempDir,
}

impl Desktop {
    /// Opens the app with `server` preset, on a new display, with a new home.
    ///
    /// # Panics
    ///
    /// If it does not open.
    pub async fn open(server: &Server) -> Desktop {
        Desktop::open_with(server, None).await
    }

    /// As [`Desktop::open`], with the microphone and the loudspeaker of a sound server.
    ///
    /// # Panics
    ///
    /// If it does not open.
    pub async fn open_through(server: &Server, pulse: &Pulse) -> Desktop {
        Desktop::open_with(server, Some(pulse)).await
    }

    async fn open_with(server: &Server, pulse: Option<&Pulse>) -> Desktop {
        let folder = tempfile::Builder::new()
            .prefix("rca")
            .tempdir()
            .unwrap_or_else(|error| panic!("{error}"));
        let display = Display::start().await;
        let audio = pulse.map_or("loopback", |_| "devices:processing=off");
        let preset = write_preset(folder.path(), server, audio);
        let sound = pulse.map(Pulse::environment).unwrap_or_default();
        let driver_port = Port::reserve();
        let driver = start_driver(
            folder.path(),
            display.name(),
            &preset,
            driver_port.number(),
            sound,
        );
        let url = format!("http://127.0.0.1:{}", driver_port.number());
        let client = eventually(
            "the app opens through WebKitWebDriver",
            FIRST_PAGE,
            async || {
                let mut builder = ClientBuilder::new(HttpConnector::new());
                builder
                    .capabilities(capabilities())
                    .connect(&url)
                    .await
                    .map_err(|error| error.to_string())
            },
        )
        .await;
        let desktop = Desktop {
            client,
            _driver: driver,
            _display: display,
            _driver_port: driver_port,
            folder,
        };
        eventually("the app shows its first page", FIRST_PAGE, async || {
            desktop.find("//main").await.map(drop)
        })
        .await;
        desktop
    }

    /// Signs in as a person of [`Server`], waiting for nothing.
    pub async fn sign_in(&self, username: &str, password: &str) {
        self.type_into("//input[@name='username']", username).await;
        self.type_into("//input[@name='password']", password).await;
        self.click("//button[@type='submit']").await;
    }

    /// Ends the app as the desktop's session would: by TERM.
    ///
    /// # Panics
    ///
    /// If there is no such process.
    pub async fn close(&self) {
        let pid = self.app().unwrap_or_else(|| panic!("the app does not run"));
        kill(pid, Signal::SIGTERM).unwrap_or_else(|error| panic!("{error}"));
        eventually("the app ends", REACTION, async || {
            self.app()
                .map_or(Ok(()), |pid| Err(format!("process {pid} runs")))
        })
        .await;
    }

    /// The app's process: the driver's child that runs our binary.
    fn app(&self) -> Option<Pid> {
        let binary = surroundings::binary("rollcall");
        let processes = fs::read_dir("/proc").ok()?.flatten();
        processes
            .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
            .map(Pid::from_raw)
            .find(|pid| {
                let ours =
                    fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|path| path == binary);
                let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
                let home = self.folder.path().as_os_str().as_encoded_bytes();
                ours && environment.windows(home.len()).any(|part| part == home)
            })
    }

    /// Waits for an element and clicks it.
    ///
    /// # Panics
    ///
    /// If it is not there in time, or never lets itself be clicked.
    pub async fn click(&self, xpath: &str) {
        eventually(&format!("a click on {xpath}"), REACTION, async || {
            self.find(xpath)
                .await?
                .click()
                .await
                .map_err(|error| error.to_string())
        })
        .await;
    }

    /// Waits for an empty field and types into it.
    ///
    /// # Panics
    ///
    /// If it is not there in time.
    pub async fn type_into(&self, xpath: &str, text: &str) {
        eventually(&format!("typing into {xpath}"), REACTION, async || {
            let field = self.find(xpath).await?;
            field
                .send_keys(text)
                .await
                .map_err(|error| error.to_string())
        })
        .await;
    }

    /// Waits until an element is there and shown.
    ///
    /// # Panics
    ///
    /// If it is not in time.
    pub async fn sees(&self, xpath: &str) {
        self.sees_within(xpath, REACTION).await;
    }

    /// As [`Desktop::sees`], with a deadline of its own.
    ///
    /// # Panics
    ///
    /// If it is not in time.
    pub async fn sees_within(&self, xpath: &str, within: Duration) {
        eventually(&format!("{xpath} is shown"), within, async || {
            let element = self.find(xpath).await?;
            match element.is_displayed().await {
                Ok(true) => Ok(()),
                Ok(false) => Err("it is there, but hidden".to_owned()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
    }

    /// Waits until the person's own state, in the phone window, reads `words`.
    pub async fn own_state(&self, words: &str) {
        self.own_state_within(words, REACTION).await;
    }

    /// As [`Desktop::own_state`], with a deadline of its own.
    pub async fn own_state_within(&self, words: &str, within: Duration) {
        let chip = format!(
            "//section[@aria-label='Your state']//*[@role='status'][contains(., '{words}')]"
        );
        self.sees_within(&chip, within).await;
    }

    /// Waits until the dashboard's row of an extension reads `words`.
    pub async fn board_row(&self, extension: &str, words: &str) {
        self.sees(&format!(
            "//*[@role='row'][contains(., '{extension}')][contains(., '{words}')]"
        ))
        .await;
    }

    /// From now on the page notes when the dashboard's row of an extension changes, and what it reads then.
    pub async fn watch_row(&self, extension: &str) {
        self.script(&WATCH_ROW.replace("EXTENSION", extension))
            .await;
    }

    /// When the watched row first read `words`, ms since the epoch.
    ///
    /// # Panics
    ///
    /// If it never did.
    pub async fn row_first_said(&self, extension: &str, words: &str) -> u64 {
        let notes = self.script("return window.rowNotes").await;
        let said = notes.as_array().into_iter().flatten().find(|note| {
            note["text"]
                .as_str()
                .is_some_and(|text| text.contains(extension) && text.contains(words))
        });
        said.and_then(|note| note["t"].as_u64())
            .unwrap_or_else(|| panic!("{extension} never read {words:?}: {notes}"))
    }

    /// Chooses an item of the phone window's menu.
    pub async fn menu(&self, item: &str) {
        self.click("//button[@aria-label='Menu']").await;
        self.click(&format!("//*[@role='menuitem'][contains(., '{item}')]"))
            .await;
    }

    /// Goes to the window of this title.
    ///
    /// # Panics
    ///
    /// If there is none in time.
    pub async fn window(&self, title: &str) {
        eventually(&format!("a window called {title}"), REACTION, async || {
            let mut titles = Vec::new();
            for handle in self
                .client
                .windows()
                .await
                .map_err(|error| error.to_string())?
            {
                self.client
                    .switch_to_window(handle)
                    .await
                    .map_err(|error| error.to_string())?;
                let found = self
                    .client
                    .title()
                    .await
                    .map_err(|error| error.to_string())?;
                if found == title {
                    return Ok(());
                }
                titles.push(found);
            }
            Err(format!("windows: {titles:?}"))
        })
        .await;
    }

    /// Keeps a picture of the present window among the artefacts.
    ///
    /// # Panics
    ///
    /// If none can be taken.
    pub async fn picture(&self, name: &str) {
        let picture = self
            .client
            .screenshot()
            .await
            .unwrap_or_else(|error| panic!("no picture: {error}"));
        let path = surroundings::artifacts().join(format!("{name}.png"));
        fs::write(&path, picture).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// All that the present window's page says.
    ///
    /// # Panics
    ///
    /// If the page is gone.
    pub async fn page(&self) -> String {
        self.client
            .source()
            .await
            .unwrap_or_else(|error| panic!("no page: {error}"))
    }

    /// What the app has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("app.log")).unwrap_or_default()
    }

    /// Runs a script in the present page and returns what it returns.
    ///
    /// # Panics
    ///
    /// If it throws.
    pub async fn script(&self, script: &str) -> serde_json::Value {
        self.client
            .execute(script, Vec::new())
            .await
            .unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    async fn find(&self, xpath: &str) -> Result<Element, String> {
        self.client
            .find(Locator::XPath(xpath))
            .await
            .map_err(|error| error.to_string())
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the app's log:\n{}", self.log());
        }
    }
}

fn write_preset(folder: &Path, server: &Server, audio: &str) -> std::path::PathBuf {
    let path = folder.join("desktop.toml");
    let text = format!(
        "server = {server:?}\naudio = {audio:?}\nmultiple = true\nno_keychain = true\ndata_dir = {data:?}\nlog_file = {log:?}\n",
        server = server.url(),
        data = folder.join("app"),
        log = folder.join("app.log"),
    );
    fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path
}

/// The driver starts the app, and hands its own environment on.
fn start_driver(
    folder: &Path,
    display: &str,
    preset: &Path,
    port: u16,
    sound: Vec<(String, OsString)>,
) -> Program {
    let home = |name: &str| {
        let path = folder.join(name);
        fs::create_dir_all(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path.into_os_string()
    };
    let variables: Vec<(&str, OsString)> = vec![
        ("DISPLAY", display.into()),
        ("ROLLCALL_DESKTOP_PRESET", preset.into()),
        ("HOME", home("home")),
        ("XDG_CONFIG_HOME", home("config")),
        ("XDG_DATA_HOME", home("data")),
        ("XDG_CACHE_HOME", home("cache")),
        ("XDG_RUNTIME_DIR", home("run")),
        ("GDK_BACKEND", "x11".into()),
        ("NO_AT_BRIDGE", "1".into()),
        ("TAURI_AUTOMATION", "true".into()),
        ("TAURI_WEBVIEW_AUTOMATION", "true".into()),
    ];
    let sound = sound.iter().map(|(name, value)| (name.as_str(), value));
    let environment: Vec<(&str, &OsStr)> = variables
        .iter()
        .map(|(name, value)| (*name, value))
        .chain(sound)
        .map(|(name, value)| (name, value.as_os_str()))
        .collect();
    let arguments = ["--host=127.0.0.1".to_owned(), format!("--port={port}")];
    Program::start(Path::new("WebKitWebDriver"), arguments, &environment)
}

fn capabilities() -> Capabilities {
    let options = json!({ "binary": surroundings::binary("rollcall"), "args": [] });
    Capabilities::from_iter([("webkitgtk:browserOptions".to_owned(), options)])
}
