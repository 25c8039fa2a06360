//! A private PostgreSQL or MariaDB from the system's packages, or an unpacked MySQL: its own folder, port and password,
//! never the system's service.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::Signal;
use nix::unistd::{User, geteuid};
use sqlx::{AnyConnection, Connection, Executor};
use tempfile::TempDir;

use crate::ports::Port;
use crate::program::Program;
use crate::surroundings::mysql_root;
use crate::unpacked::Unpacked;
use crate::waiting::eventually;

/// The user that the server and Asterisk connect as.
pub const USER: &str = "rollcall";
/// Its password.
pub const PASSWORD: &str = "secret-of-the-database";

/// A small redo log: the data folder is copied for every test.
const MYSQL_LOG: &str = "--innodb-redo-log-capacity=8M";

/// A start takes about a second; a busy machine may take longer.
const START: Duration = Duration::from_secs(60);

/// Which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    Sqlite,
    /// PostgreSQL.
    Postgres,
    /// MariaDB.
    MariaDb,
    /// MySQL, which no stable Debian has: unpacked, not installed.
    MySql,
}

/// A database server, or a folder for SQLite's files; it never outlives the test.
#[derive(Debug)]
pub struct Database {
    kind: Kind,
    // Ends before its folder does.
    program: Option<Program>,
    folder: TempDir,
    port: Port,
}

impl Drop for Database {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Database {
    /// Starts one and waits until it answers.
    ///
    /// # Panics
    ///
    /// If it is not installed or does not start.
    pub async fn start(kind: Kind) -> Database {
        let folder = tempfile::Builder::new()
            .prefix("rcdb")
            .tempdir()
            .unwrap_or_else(|error| panic!("no folder: {error}"));
        let mut database = Database {
            kind,
            folder,
            port: Port::reserve(),
            program: None,
        };
        if kind != Kind::Sqlite {
            let data = database.data();
            copy(&prepared(kind), &data);
            own(kind, database.folder.path());
            database.serve().await;
        }
        database
    }

    /// Starts it again after [`Database::kill`].
    ///
    /// # Panics
    ///
    /// If it does not answer.
    pub async fn serve(&mut self) {
        let (program, arguments) = match self.kind {
            Kind::Sqlite => return,
            Kind::Postgres => as_somebody(postgres("postgres"), self.postgres_arguments()),
            Kind::MariaDb => (found("mariadbd"), self.mariadb_arguments()),
            Kind::MySql => mysql(self.mysql_arguments()),
        };
        let mut program = Program::start(&program, arguments, &[]);
        eventually("the database answers", START, async || {
            assert!(program.is_running(), "it ended: {program:?}");
            match connect(&self.url(self.kind.first())).await {
                Ok(_) => Ok(()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
        self.program = Some(program);
    }

    /// kill -9; what was committed is there at the next [`Database::serve`].
    pub fn kill(&mut self) {
        if let Some(mut program) = self.program.take() {
            program.kill();
        }
    }

    /// Stops it in its tracks, and whoever serves its connections: it hangs, its sockets stay open.
    pub fn freeze(&self) {
        if let Some(program) = &self.program {
            program.freeze();
            program.signal_children(Signal::SIGSTOP);
        }
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        if let Some(program) = &self.program {
            program.signal_children(Signal::SIGCONT);
            program.thaw();
        }
    }

    /// Makes a database of this name in it, and returns its URL, without the password.
    ///
    /// # Panics
    ///
    /// If it cannot be made.
    pub async fn make(&self, name: &str) -> String {
        if self.kind != Kind::Sqlite {
            let mut first = self.connect(self.kind.first()).await;
            let statement = format!("CREATE DATABASE {name}");
            let made = first.execute(sqlx::AssertSqlSafe(statement)).await;
            made.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        self.url(name)
    }

    /// The URL of the database of this name, as the server's configuration has it.
    pub fn url(&self, name: &str) -> String {
        match self.kind {
            Kind::Sqlite => format!("sqlite:{}/{name}.db", self.folder.path().display()),
            kind => format!(
                "{}://{USER}@127.0.0.1:{}/{name}{}",
                kind.scheme(),
                self.port.number(),
                kind.options()
            ),
        }
    }

    /// A connection to the database of this name.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub async fn connect(&self, name: &str) -> AnyConnection {
        let connection = connect(&self.url(name)).await;
        connection.unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// A connection as the administrator, to the database that is there from the beginning.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub async fn connect_first(&self) -> AnyConnection {
        self.connect(self.kind.first()).await
    }

    /// The database of this name, for who needs to be told where it is.
    pub fn named(&self, name: &str) -> Named {
        Named {
            kind: self.kind,
            port: self.port.number(),
            name: name.to_owned(),
            url: self.url(name),
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn postgres_arguments(&self) -> Vec<OsString> {
        let port = self.port.number().to_string();
        let settings = [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "shared_buffers=16MB",
            // What a process has written outlives that process without it; the machine is not cut off here.
            "fsync=off",
        ];
        let mut arguments: Vec<OsString> = vec!["-D".into(), self.data().into()];
        arguments.extend(["-p", &port].map(OsString::from));
        for setting in settings {
            arguments.extend(["-c", setting].map(OsString::from));
        }
        arguments
    }

    fn mariadb_arguments(&self) -> Vec<OsString> {
        self.arguments_of_both(&["--innodb-log-file-size=8M"])
    }

    fn mysql_arguments(&self) -> Vec<OsString> {
        self.arguments_of_both(&[
            MYSQL_LOG,
            "--mysqlx=OFF",
            "--skip-log-bin",
            "--innodb-doublewrite=OFF",
            "--performance-schema=OFF",
            "--secure-file-priv=NULL",
        ])
    }

    /// What MariaDB and MySQL are told alike, and each by itself.
    fn arguments_of_both(&self, own: &[&str]) -> Vec<OsString> {
        let folder = self.folder.path().display();
        let mut arguments = vec![
            "--no-defaults".to_owned(),
            format!("--datadir={folder}/data"),
            format!("--socket={folder}/socket"),
            format!("--pid-file={folder}/pid"),
            format!("--port={}", self.port.number()),
            "--bind-address=127.0.0.1".to_owned(),
            "--skip-name-resolve".to_owned(),
            "--innodb-buffer-pool-size=16M".to_owned(),
            // As PostgreSQL's fsync=off.
            "--innodb-flush-method=nosync".to_owned(),
        ];
        arguments.extend(own.iter().map(|argument| (*argument).to_owned()));
        arguments.extend(as_root());
        arguments.into_iter().map(OsString::from).collect()
    }
}

/// Where a database of a server's is.
#[derive(Clone, Debug)]
pub struct Named {
    /// Which.
    pub kind: Kind,
    /// The port of its server, on 127.0.0.1.
    pub port: u16,
    /// Its name there.
    pub name: String,
    /// The URL, without the password.
    pub url: String,
}

/// The URL, in a driver's own form, with our password in it.
pub fn with_password(url: &str) -> String {
    let with = format!("{USER}:{PASSWORD}@");
    url.replacen("mariadb:", "mysql:", 1)
        .replacen(&format!("{USER}@"), &with, 1)
}

impl Kind {
    fn scheme(self) -> &'static str {
        match self {
            Kind::Sqlite => "sqlite",
            Kind::Postgres => "postgres",
            Kind::MariaDb => "mariadb",
            Kind::MySql => "mysql",
        }
    }

    /// What its URL says besides: MySQL's password exchange wants TLS, and it has made itself a certificate.
    fn options(self) -> &'static str {
        match self {
            Kind::MySql => "?ssl-mode=REQUIRED",
            _ => "",
        }
    }

    /// The database that is there from the beginning.
    fn first(self) -> &'static str {
        match self {
            Kind::Sqlite | Kind::Postgres => "postgres",
            Kind::MariaDb | Kind::MySql => "mysql",
        }
    }
}

/// Connects, with our password, to whichever of them a URL names.
///
/// # Errors
///
/// Whatever it says.
pub async fn connect(url: &str) -> Result<AnyConnection, sqlx::Error> {
    static DRIVERS: Once = Once::new();
    DRIVERS.call_once(sqlx::any::install_default_drivers);
    AnyConnection::connect(&with_password(url)).await
}

/// An initialised data folder, made once a machine and version: every test starts on a copy of its own.
fn prepared(kind: Kind) -> PathBuf {
    let version = vec!["--version".into()];
    let (program, version) = match kind {
        Kind::Postgres => (postgres("postgres"), version),
        Kind::MySql => mysql(version),
        _ => (found("mariadbd"), version),
    };
    let version = Command::new(&program)
        .args(version)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let version = version
        .split_whitespace()
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()))
        .unwrap_or("unknown");
    let home = std::env::temp_dir().join("rollcall-databases");
    fs::create_dir_all(&home).unwrap_or_else(|error| panic!("{}: {error}", home.display()));
    let name = format!("{}-{version}-{}", kind.scheme(), geteuid());
    let lock = File::create(home.join(format!("{name}.lock")));
    let lock = lock.unwrap_or_else(|error| panic!("{}: {error}", home.display()));
    let _lock = Flock::lock(lock, FlockArg::LockExclusive)
        .unwrap_or_else(|(_, error)| panic!("{name}: {error}"));
    let ready = home.join(&name);
    if !ready.is_dir() {
        let making = home.join(format!("{name}.making"));
        let _ = fs::remove_dir_all(&making);
        fs::create_dir(&making).unwrap_or_else(|error| panic!("{}: {error}", making.display()));
        initialise(kind, &making);
        fs::rename(&making, &ready).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    ready
}

/// Fills an empty folder: a data folder whose one user is ours.
fn initialise(kind: Kind, folder: &Path) {
    own(kind, folder);
    let data = folder.join("data");
    let (program, arguments) = match kind {
        Kind::Postgres => {
            let password = folder.join("password");
            fs::write(&password, PASSWORD).unwrap_or_else(|error| panic!("{error}"));
            let mut arguments: Vec<OsString> = vec!["-D".into(), data.into()];
            let rest = "-A scram-sha-256 -E UTF8 --no-locale --no-sync -U";
            arguments.extend(rest.split(' ').map(OsString::from));
            arguments.push(USER.into());
            arguments.push(format!("--pwfile={}", password.display()).into());
            as_somebody(postgres("initdb"), arguments)
        }
        Kind::MySql => {
            let users = make_users(folder, "");
            let mut arguments = vec![
                "--no-defaults".to_owned(),
                "--initialize-insecure".to_owned(),
                format!("--datadir={}", data.display()),
                format!("--init-file={}", users.display()),
                MYSQL_LOG.to_owned(),
                "--secure-file-priv=NULL".to_owned(),
            ];
            arguments.extend(as_root());
            mysql(arguments.into_iter().map(OsString::from).collect())
        }
        Kind::MariaDb | Kind::Sqlite => {
            let users = make_users(folder, "FLUSH PRIVILEGES;\n");
            let mut arguments = vec![
                "--no-defaults".to_owned(),
                format!("--datadir={}", data.display()),
                format!("--extra-file={}", users.display()),
                "--skip-test-db".to_owned(),
                "--skip-name-resolve".to_owned(),
                "--auth-root-authentication-method=normal".to_owned(),
                "--innodb-log-file-size=8M".to_owned(),
            ];
            arguments.extend(as_root());
            let arguments = arguments.into_iter().map(OsString::from).collect();
            (found("mariadb-install-db"), arguments)
        }
    };
    let output = Command::new(&program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{}: {}{}",
        program.display(),
        said(&output.stdout),
        said(&output.stderr)
    );
    if kind == Kind::Postgres {
        trust_our_user(&folder.join("data/pg_hba.conf"));
    }
}

/// The statements that make our user, in a file of that folder.
fn make_users(folder: &Path, before: &str) -> PathBuf {
    let users = folder.join("users.sql");
    let text = format!(
        "{before}CREATE USER '{USER}'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n\
         GRANT ALL PRIVILEGES ON *.* TO '{USER}'@'127.0.0.1' WITH GRANT OPTION;\n"
    );
    fs::write(&users, text).unwrap_or_else(|error| panic!("{}: {error}", users.display()));
    users
}

/// The unpacked `mysqld` with these arguments: by its own loader, with its own files.
fn mysql(arguments: Vec<OsString>) -> (PathBuf, Vec<OsString>) {
    let root = mysql_root();
    let unpacked = Unpacked::find(&root, "usr/sbin/mysqld", &["mysql/private"]);
    let mut all = unpacked.arguments();
    let mut arguments = arguments.into_iter();
    // `--no-defaults` has to be the first.
    all.extend(arguments.next());
    all.push(format!("--basedir={}", root.join("usr").display()).into());
    let messages = root.join("usr/share/mysql");
    all.push(format!("--lc-messages-dir={}", messages.display()).into());
    all.extend(arguments);
    (unpacked.loader, all)
}

/// Every other user still needs a password: a proof of one takes a debug build a tenth of a second, and tests connect
/// often.
fn trust_our_user(rules: &Path) {
    let failed = |error: std::io::Error| -> String { panic!("{}: {error}", rules.display()) };
    let rest = fs::read_to_string(rules).unwrap_or_else(failed);
    let text = format!("host all {USER} 127.0.0.1/32 trust\n{rest}");
    if let Err(error) = fs::write(rules, text) {
        failed(error);
    }
}

/// With owners and modes as they are.
fn copy(ready: &Path, data: &Path) {
    let status = Command::new("cp")
        .arg("-a")
        .arg(ready.join("data"))
        .arg(data)
        .status();
    let copied = status.unwrap_or_else(|error| panic!("cp: {error}"));
    assert!(copied.success(), "cp: {copied}");
}

/// PostgreSQL does not run as root: there, as the system's user for it.
fn as_somebody(program: PathBuf, arguments: Vec<OsString>) -> (PathBuf, Vec<OsString>) {
    if !geteuid().is_root() {
        return (program, arguments);
    }
    let user = system_user();
    let id = |flag: &str, id: String| OsString::from(format!("--{flag}={id}"));
    // The death signal does not outlive a change of user, so it is set once more, after it.
    let mut all = vec![
        id("reuid", user.uid.to_string()),
        id("regid", user.gid.to_string()),
        "--clear-groups".into(),
        "--pdeathsig=KILL".into(),
        "--".into(),
        program.into(),
    ];
    all.extend(arguments);
    (PathBuf::from("setpriv"), all)
}

fn own(kind: Kind, folder: &Path) {
    let failed = |error: std::io::Error| -> () { panic!("{}: {error}", folder.display()) };
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap_or_else(failed);
    if kind == Kind::Postgres && geteuid().is_root() {
        let user = system_user();
        let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
        chown(folder, Some(uid), Some(gid)).unwrap_or_else(failed);
    }
}

fn system_user() -> User {
    ["postgres", "nobody"]
        .iter()
        .find_map(|name| User::from_name(name).ok().flatten())
        .unwrap_or_else(|| panic!("there is no user postgres to run PostgreSQL as"))
}

/// MariaDB and MySQL run as root if told so.
fn as_root() -> Option<String> {
    geteuid().is_root().then(|| "--user=root".to_owned())
}

/// A program of the newest PostgreSQL that is installed; Debian keeps them out of the path.
fn postgres(name: &str) -> PathBuf {
    let home = Path::new("/usr/lib/postgresql");
    let mut versions: Vec<PathBuf> = fs::read_dir(home)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin").join(name))
        .filter(|path| path.is_file())
        .collect();
    versions.sort();
    versions.pop().unwrap_or_else(|| missing("postgresql"))
}

fn found(name: &str) -> PathBuf {
    ["/usr/sbin", "/usr/bin", "/usr/local/bin"]
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| missing("mariadb-server-core mariadb-client-core"))
}

fn missing(packages: &str) -> PathBuf {
    panic!(
        "{packages} is not installed: run `cargo xtask test`, or `sudo apt-get install {packages}`"
    )
}
