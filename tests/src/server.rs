//! `rollcall-server` under test: its own folder and database, its people, HTTP as anybody would speak it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Once;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, MySqlConnection, PgConnection, Row, SqliteConnection};
use tempfile::TempDir;

use crate::asterisk::Contacts;
use crate::board::Board;
use crate::database::{self, Kind, Named, PASSWORD as PASSWORD_OF_DATABASES};
use crate::pbx::Pbx;
use crate::ports::Port;
use crate::program::{Program, Resources};
use crate::relay::Relay;
use crate::surroundings;
use crate::waiting::PROMPTLY;

/// What a device's lease lasts here, so that a test need not wait 15 s for its end.
pub const LEASE: Duration = Duration::from_secs(6);

const PASSWORD: &str = "ROLLCALL_E2E_PASSWORD";
const SIP_PASSWORD: &str = "ROLLCALL_E2E_SIP_PASSWORD";
/// Who watches: sees reasons and devices, has no phone.
pub const SUPERVISOR: &str = "super";

/// A server that runs, or was ended and can be started again on the same database.
#[derive(Debug)]
pub struct Server {
    folder: TempDir,
    program: Option<Program>,
    port: Port,
    ami: Relay,
    database: PathBuf,
    /// Where the database is instead of in that file.
    remote: Option<Named>,
}

/// What a test may want otherwise of a server.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Evictions over ARI.
    pub ari: bool,
    /// A configuration instead of these tests' own, with `{listen}`, `{folder}`, `{database}`, `{ami}`, `{http}` and
    /// `{sip}` where its address, folders, ports and registrar belong.
    pub config: Option<String>,
    /// What phones are told of the telephone server: address and transport. Its own address for UDP by default.
    pub registrar: Option<(String, &'static str)>,
    /// How many devices an extension may have, in the configuration's word; several unless told otherwise.
    pub devices: Option<&'static str>,
    /// What a device's lease lasts, instead of [`LEASE`].
    pub lease: Option<Duration>,
    /// The authority, a PEM file, that vouches for it.
    pub sip_ca: Option<PathBuf>,
    /// Sections added to these tests' own configuration.
    pub more: String,
    /// A database server's database instead of a file of its own, where contacts are not kept in one anyway.
    pub database: Option<Named>,
}

/// What these tests configure: everything sooner than by default, so that a test need not wait.
const CONFIG: &str = "\
listen = \"{listen}\"
data_dir = \"{folder}/data\"
mode = \"{mode}\"
[database]
url = \"{url}\"
password_file = \"{folder}/database.secret\"
[ami]
host = \"127.0.0.1\"
port = {ami}
username = \"{manager}\"
secret_file = \"{folder}/ami.secret\"
[sip]
server = \"{sip}\"
transport = \"{transport}\"
{sip_ca}
[alignment]
heartbeat_ms = 1000
lease_ms = {lease}
grace_ms = 4000
resync_ms = 2000
login_timeout_ms = 8000
devices = \"{devices}\"
[auth]
failures_allowed = 1000
account_failures_allowed = 1000
address_failures_allowed = 1000
[metrics]
listen = \"127.0.0.1:0\"
";
const ARI: &str = "\
[ari]
url = \"http://127.0.0.1:{http}\"
username = \"{ari}\"
secret_file = \"{folder}/ari.secret\"
";

/// An answer over HTTP.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body, `Null` if it is no JSON.
    pub body: Value,
}

/// Runs the seed's two queries over a connection of this kind.
macro_rules! seeds_queries {
    ($connection:ty, $url:expr, $extension:expr) => {{
        let read = async {
            let url = database::with_password($url);
            let mut database = <$connection>::connect(&url).await?;
            let contacts = format!(
                "SELECT endpoint, status, expiration_time
FROM ps_contacts
WHERE endpoint = '{}';",
                $extension
            );
            let contacts = sqlx::query(sqlx::AssertSqlSafe(contacts))
                .fetch_all(&mut database)
                .await?;
            let user = format!(
                "SELECT username, extension, online, sipRegistered
FROM users
WHERE extension = '{}';",
                $extension
            );
            let user = sqlx::query(sqlx::AssertSqlSafe(user))
                .fetch_one(&mut database)
                .await?;
            Ok::<_, sqlx::Error>(Rows {
                contacts: contacts
                    .iter()
                    .map(|row| (row.get(0), row.get(1)))
                    .collect(),
                expires: contacts.iter().filter_map(|row| row.get(2)).max(),
                user: (user.get(2), user.get(3)),
            })
        };
        read.await
    }};
}

/// What the seed's two queries say of an extension.
#[derive(Debug, PartialEq, Eq)]
pub struct Rows {
    /// `endpoint, status` of each row of `ps_contacts`.
    pub contacts: Vec<(String, String)>,
    /// The latest `expiration_time` among them, epoch seconds.
    pub expires: Option<i64>,
    /// `online` and `sipRegistered` of the user.
    pub user: (bool, bool),
}

impl Server {
    /// Starts one beside `pbx`, with an agent for each of its people and a supervisor.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub async fn start(pbx: &impl Pbx) -> Server {
        Server::start_with(pbx, Options::default()).await
    }

    /// As [`Server::start`], with `options`. Where Asterisk keeps contacts in a table, the server shares its database.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub async fn start_with(pbx: &impl Pbx, options: Options) -> Server {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let database = match &pbx.settings().contacts {
            Contacts::Astdb | Contacts::Remote(_) => folder.path().join("data/rollcall.db"),
            Contacts::Table(file) => file.clone(),
        };
        let remote = match &pbx.settings().contacts {
            Contacts::Remote(named) => Some(named.clone()),
            _ => options.database.clone(),
        };
        let ami = Relay::to(pbx.ami_port());
        let mut server = Server {
            folder,
            program: None,
            port: Port::reserve(),
            ami,
            database,
            remote,
        };
        server.configure(pbx, &options);
        for person in &pbx.settings().people {
            server.add(
                &person.extension,
                "agent",
                Some((&person.extension, &person.password)),
            );
        }
        server.add(SUPERVISOR, "supervisor", None);
        server.serve().await;
        server
    }

    /// Starts serving, again after [`Server::kill`] or [`Server::stop`].
    ///
    /// # Panics
    ///
    /// If it does not say that it is ready.
    pub async fn serve(&mut self) {
        let arguments = [
            OsStr::new("serve"),
            OsStr::new("--config"),
            self.config().as_os_str(),
            OsStr::new("--ready-json"),
        ]
        .map(OsStr::to_owned);
        let program = Program::start(&surroundings::binary("rollcall-server"), arguments, &[]);
        program
            .event("is ready", |event| event["http"].as_str().map(drop))
            .await;
        self.program = Some(program);
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut program) = self.program.take() {
            program.kill();
        }
    }

    /// Stops it in its tracks: it hangs, its sockets stay open.
    pub fn freeze(&self) {
        if let Some(program) = &self.program {
            program.freeze();
        }
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        if let Some(program) = &self.program {
            program.thaw();
        }
    }

    /// Asks it to end, and waits.
    ///
    /// # Panics
    ///
    /// If it does not end, or not well.
    pub async fn stop(&mut self) {
        if let Some(mut program) = self.program.take() {
            let status = program.terminate().await;
            assert!(status.success(), "{status}");
        }
    }

    /// What it logged so far.
    pub fn complaints(&self) -> Vec<String> {
        self.program
            .as_ref()
            .map(Program::complaints)
            .unwrap_or_default()
    }

    /// `http://ip:port`, the same after a restart.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.number())
    }

    /// The file of its database.
    pub fn database_file(&self) -> &Path {
        &self.database
    }

    /// Its port, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// What it holds at the moment.
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn resources(&self) -> Resources {
        let program = self.program.as_ref();
        program.map_or_else(|| panic!("it does not run"), Program::resources)
    }

    /// Its figures, as Prometheus reads them.
    ///
    /// # Panics
    ///
    /// If they cannot be had.
    pub async fn figures(&self) -> String {
        let events = self.program.as_ref().map(Program::events);
        let ready = events.as_deref().and_then(<[Value]>::first);
        let url = ready.and_then(|ready| ready["metrics"].as_str());
        let url = url.unwrap_or_else(|| panic!("it serves no figures: {ready:?}"));
        let answer = http().get(url).send().await;
        let text = answer.unwrap_or_else(|error| panic!("{error}")).text();
        text.await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// The connection to Asterisk's manager interface, to cut and mend.
    pub fn ami(&self) -> &Relay {
        &self.ami
    }

    /// The password that a person of these tests signs in with.
    pub fn password(username: &str) -> String {
        format!("password of {username}")
    }

    /// The board as `username` sees it through the official Socket.IO client, after its first snapshot.
    ///
    /// # Panics
    ///
    /// If it cannot sign in.
    pub async fn board(&self, username: &str) -> Board {
        Board::watch(&self.url(), &self.token(username).await).await
    }

    /// Signs in and returns the access token.
    ///
    /// # Panics
    ///
    /// If it cannot.
    pub async fn token(&self, username: &str) -> String {
        token_at(&self.url(), username, &Server::password(username)).await
    }

    /// Posts JSON.
    pub async fn post(&self, path: &str, token: Option<&str>, body: &Value) -> Answer {
        self.post_raw(path, token, body.to_string().into_bytes())
            .await
    }

    /// Posts whatever bytes, named as JSON.
    ///
    /// # Panics
    ///
    /// If no answer comes.
    pub async fn post_raw(&self, path: &str, token: Option<&str>, body: Vec<u8>) -> Answer {
        let mut request = http()
            .post(format!("{}{path}", self.url()))
            .header("content-type", "application/json")
            .body(body);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        answer(request).await
    }

    /// Gets a page.
    ///
    /// # Panics
    ///
    /// If no answer comes.
    pub async fn get(&self, path: &str) -> Answer {
        answer(http().get(format!("{}{path}", self.url()))).await
    }

    /// Gets a page as somebody who is signed in.
    ///
    /// # Panics
    ///
    /// If no answer comes.
    pub async fn get_as(&self, path: &str, token: &str) -> Answer {
        let request = http().get(format!("{}{path}", self.url()));
        answer(request.bearer_auth(token)).await
    }

    /// The URL of its database, without a password.
    pub fn database_url(&self) -> String {
        match &self.remote {
            Some(named) => named.url.clone(),
            None => format!("sqlite:{}", self.database.display()),
        }
    }

    /// Runs the seed's two queries, word for word but for the extension.
    ///
    /// # Panics
    ///
    /// If the database cannot be read.
    pub async fn rows(&self, extension: &str) -> Rows {
        let url = self.database_url();
        let read = match self.remote.as_ref().map(|named| named.kind) {
            None | Some(Kind::Sqlite) => seeds_queries!(SqliteConnection, &url, extension),
            Some(Kind::Postgres) => seeds_queries!(PgConnection, &url, extension),
            Some(Kind::MariaDb | Kind::MySql) => seeds_queries!(MySqlConnection, &url, extension),
        };
        read.unwrap_or_else(|error| panic!("the seed's two queries: {error}"))
    }

    /// All that the tables hold, but for what was merely observed and what the server writes of itself as time goes by:
    /// whether something was written on somebody's word.
    ///
    /// # Panics
    ///
    /// If the database cannot be read.
    pub async fn everything_written(&self) -> Vec<String> {
        let mut database = self.database().await;
        let mut written = Vec::new();
        for table in texts(
            &mut database,
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT IN ('instances', 'managers') ORDER BY name"
                .to_owned(),
        )
        .await
        {
            let columns = texts(
                &mut database,
                format!(
                    "SELECT 'quote(\"' || name || '\")' FROM pragma_table_info('{table}') WHERE name <> 'lease'"
                ),
            )
            .await;
            let which = if table == "ledger" {
                " WHERE kind = 'intent'"
            } else {
                ""
            };
            let rows = format!(
                "SELECT {} FROM \"{table}\"{which} ORDER BY 1",
                columns.join(" || ',' || ")
            );
            written.extend(
                texts(&mut database, rows)
                    .await
                    .into_iter()
                    .map(|row| format!("{table}: {row}")),
            );
        }
        written
    }

    /// The database, to read.
    ///
    /// # Panics
    ///
    /// If it cannot be opened.
    pub async fn database(&self) -> SqliteConnection {
        let path = &self.database;
        SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .connect()
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("server.toml")
    }

    fn configure(&self, pbx: &impl Pbx, options: &Options) {
        let settings = pbx.settings();
        let (manager, manager_secret) = &settings.manager;
        let (ari, ari_secret) = &settings.ari;
        let folder = self.folder.path();
        write_private(&folder.join("ami.secret"), manager_secret);
        write_private(&folder.join("ari.secret"), ari_secret);
        write_private(&folder.join("database.secret"), PASSWORD_OF_DATABASES);
        let mode = match settings.contacts {
            Contacts::Astdb => "mirror",
            Contacts::Table(_) | Contacts::Remote(_) => "shared",
        };
        let udp = || (pbx.sip(), "udp");
        let (registrar, transport) = options.registrar.clone().unwrap_or_else(udp);
        let line = |file: &PathBuf| format!("ca_file = {:?}", file.display().to_string());
        let sip_ca = options.sip_ca.as_ref().map(line).unwrap_or_default();
        let own = || CONFIG.to_owned() + if options.ari { ARI } else { "" } + &options.more;
        let lease = options.lease.unwrap_or(LEASE);
        let values = [
            ("{listen}", format!("127.0.0.1:{}", self.port.number())),
            ("{folder}", folder.display().to_string()),
            ("{mode}", mode.to_owned()),
            ("{url}", self.database_url()),
            ("{database}", self.database.display().to_string()),
            ("{ami}", self.ami.port().to_string()),
            ("{http}", pbx.http_port().unwrap_or_default().to_string()),
            ("{manager}", manager.clone()),
            ("{ari}", ari.clone()),
            ("{sip}", registrar),
            ("{transport}", transport.to_owned()),
            ("{lease}", lease.as_millis().to_string()),
            ("{devices}", options.devices.unwrap_or("multi").to_owned()),
            ("{sip_ca}", sip_ca),
        ];
        let text = values.iter().fold(
            options.config.clone().unwrap_or_else(own),
            |text, (name, value)| text.replace(name, value),
        );
        write_private(&self.config(), &text);
    }

    /// Runs the server's binary on its configuration, and answers what it says.
    ///
    /// # Panics
    ///
    /// If it fails.
    pub fn admin(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(output.status.success(), "{words:?}: {said}");
        said
    }

    /// What `rollcall-server doctor --json` finds; its exit status is not asked for.
    ///
    /// # Panics
    ///
    /// If it does not answer.
    pub fn findings(&self) -> Vec<serde_json::Value> {
        let (_, said) = self.ask(&["doctor", "--json"]);
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("doctor: {error}"))
    }

    /// The same, whether it fails or not: how it ended, and what it wrote to its standard output.
    pub fn ask(&self, words: &[&str]) -> (bool, String) {
        let output = self.run(words);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success(), said)
    }

    fn run(&self, words: &[&str]) -> Output {
        Command::new(surroundings::binary("rollcall-server"))
            .args(words)
            .arg("--config")
            .arg(self.config())
            .output()
            .unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    fn add(&self, username: &str, role: &str, phone: Option<(&str, &str)>) {
        let mut command = Command::new(surroundings::binary("rollcall-server"));
        command
            .args(["user", "add", "--config"])
            .arg(self.config())
            .args(["--username", username, "--role", role]);
        command
            .args(["--password-env", PASSWORD])
            .env(PASSWORD, Server::password(username));
        if let Some((extension, secret)) = phone {
            command
                .args(["--extension", extension, "--sip-password-env", SIP_PASSWORD])
                .env(SIP_PASSWORD, secret);
        }
        let output = command
            .output()
            .unwrap_or_else(|error| panic!("user add: {error}"));
        assert!(
            output.status.success(),
            "user add {username}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// A database made by `rollcall-server migrate`, for an Asterisk to keep its contacts in.
#[derive(Debug)]
pub struct SharedDatabase {
    folder: TempDir,
}

impl SharedDatabase {
    /// Makes one.
    ///
    /// # Panics
    ///
    /// If it cannot be made.
    pub fn migrated() -> SharedDatabase {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let database = SharedDatabase { folder };
        let config = database.folder.path().join("migrate.toml");
        let text = format!(
            "mode = \"shared\"\ndata_dir = {:?}\n[database]\nurl = \"sqlite:{}\"\n",
            database.folder.path().join("data"),
            database.file().display()
        );
        write_private(&config, &text);
        migrate(&config);
        database
    }

    /// As a server would at its first start, in a database that has none of its tables.
    ///
    /// # Panics
    ///
    /// If it cannot.
    pub fn migrate_remote(named: &Named) {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let (config, secret) = (
            folder.path().join("migrate.toml"),
            folder.path().join("secret"),
        );
        write_private(&secret, PASSWORD_OF_DATABASES);
        let text = format!(
            "mode = \"shared\"\ndata_dir = {:?}\n[database]\nurl = {:?}\npassword_file = {secret:?}\n",
            folder.path().join("data"),
            named.url
        );
        write_private(&config, &text);
        migrate(&config);
    }

    /// The file.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("rollcall.db")
    }
}

/// `rollcall-server migrate`.
///
/// # Panics
///
/// If it fails.
pub fn migrate(config: &Path) {
    let output = Command::new(surroundings::binary("rollcall-server"))
        .args(["migrate", "--config"])
        .arg(config)
        .output()
        .unwrap_or_else(|error| panic!("migrate: {error}"));
    assert!(
        output.status.success(),
        "migrate: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The first column of all rows.
async fn texts(database: &mut SqliteConnection, query: String) -> Vec<String> {
    let rows = sqlx::query(sqlx::AssertSqlSafe(query.clone()))
        .fetch_all(database)
        .await;
    rows.unwrap_or_else(|error| panic!("{query}: {error}"))
        .iter()
        .map(|row| row.get(0))
        .collect()
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request
        .send()
        .await
        .unwrap_or_else(|error| panic!("no answer: {error:?}"));
    let status = response.status().as_u16();
    let body = response
        .bytes()
        .await
        .unwrap_or_else(|error| panic!("half an answer: {error:?}"));
    Answer {
        status,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    }
}

/// Signs in at any server and returns the access token.
///
/// # Panics
///
/// If it is refused.
pub async fn token_at(url: &str, username: &str, password: &str) -> String {
    let answer = http()
        .post(format!("{url}/api/users/login"))
        .json(&json!({ "username": username, "password": password }))
        .send()
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    let status = answer.status();
    let body: Value = answer.json().await.unwrap_or_default();
    assert!(status.is_success(), "{status}: {body}");
    body["tokens"]["sip"]
        .as_str()
        .unwrap_or_else(|| panic!("no token in {body}"))
        .to_owned()
}

fn http() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    reqwest::Client::builder()
        .timeout(PROMPTLY)
        .no_proxy()
        .build()
        .unwrap_or_else(|error| panic!("{error}"))
}

fn write_private(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
