//! The lab: a real Asterisk 22, unpacked from Debian's packages into the cache and run from there.
//!
//! Nothing is installed and nothing needs a chroot: the unpacked folder brings its own `ld.so`. The mirror is the one
//! that apt is configured with. How a test configures and starts its own copy is `rollcall-e2e`'s concern.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, compile, kamailio, mysql, packages, process, schemathesis, step, workspace};

/// The Asterisk that the project speaks to.
const MAJOR: &str = "22";
/// Suites that carry it, the steadier one first; a mirror keeps only the newest version of each.
const SUITES: [&str; 2] = ["forky", "sid"];
/// The server itself and the drivers for contacts in a database.
const PACKAGES: &str = "libc6,asterisk,asterisk-modules,libsqliteodbc,odbc-postgresql,odbc-mariadb";

/// An unpacked Asterisk.
pub(crate) struct Lab {
    /// The folder with its `usr`.
    pub(crate) root: PathBuf,
    /// What it calls itself.
    version: String,
}

/// Finds the lab in the cache or unpacks it there, and says which version it is.
pub(crate) fn fetch() -> Result<Lab> {
    let lab = match find()? {
        Some(lab) => lab,
        None => {
            packages::ensure(&[&["mmdebstrap", "debian-archive-keyring"]])?;
            unpack()?
        }
    };
    eprintln!("==> lab: {} in {}", lab.version, lab.root.display());
    Ok(lab)
}

/// Starts an Asterisk for use by hand and waits until it is interrupted.
pub(crate) fn start() -> Result<()> {
    let lab = fetch()?;
    step::run(
        "build the lab's starter",
        compile::cargo(&[
            "build",
            "--package",
            "rollcall-e2e",
            "--bin",
            "rollcall-lab",
        ])
        .env("CARGO_TERM_COLOR", "never"),
    )?;
    let mut starter = Command::new(workspace::binaries().join("rollcall-lab"));
    let status = process::in_foreground(starter.env("ROLLCALL_ASTERISK_ROOT", &lab.root))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("the lab ended with {status}"))
    }
}

/// Prints `export` lines for a shell in which someone runs single end-to-end tests.
pub(crate) fn print_environment() -> Result<()> {
    let lab = fetch()?;
    println!("export ROLLCALL_ASTERISK_ROOT='{}'", lab.root.display());
    println!(
        "export ROLLCALL_KAMAILIO_ROOT='{}'",
        kamailio::fetch()?.display()
    );
    match mysql::fetch() {
        Ok(root) => println!("export ROLLCALL_MYSQL_ROOT='{}'", root.display()),
        Err(words) => eprintln!("no MySQL: {words}"),
    }
    println!(
        "export ROLLCALL_SCHEMATHESIS='{}'",
        schemathesis::fetch()?.display()
    );
    println!(
        "export ROLLCALL_BIN_DIR='{}'",
        workspace::binaries().display()
    );
    Ok(())
}

fn find() -> Result<Option<Lab>> {
    if let Some(root) = env::var_os("ROLLCALL_ASTERISK_ROOT") {
        return open(Path::new(&root)).map(Some);
    }
    let Ok(entries) = fs::read_dir(workspace::cache()?) else {
        return Ok(None);
    };
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    folders.retain(|path| {
        path.file_name().is_some_and(|name| {
            name.to_string_lossy()
                .starts_with(&format!("asterisk-{MAJOR}."))
        })
    });
    folders.sort();
    folders.last().map(|folder| open(folder)).transpose()
}

fn unpack() -> Result<Lab> {
    let cache = workspace::cache()?;
    fs::create_dir_all(&cache).map_err(|error| format!("{}: {error}", cache.display()))?;
    let mirror = mirror()?;
    let mut last = String::new();
    for suite in SUITES {
        let folder = cache.join(format!(".unpacking-{}-{suite}", std::process::id()));
        let result = step::run(
            &format!("unpack Asterisk from Debian {suite}"),
            &mut mmdebstrap(suite, PACKAGES, &folder, &mirror),
        )
        .and_then(|_| open(&folder));
        match result {
            Ok(lab) => return keep(&lab, &cache),
            Err(words) => last = words,
        }
        let _ = fs::remove_dir_all(&folder);
    }
    Err(format!("no Asterisk {MAJOR} from {mirror}: {last}"))
}

/// Unpacks packages with what they depend on into a folder.
pub(crate) fn mmdebstrap(suite: &str, packages: &str, folder: &Path, mirror: &str) -> Command {
    let mut command = Command::new("mmdebstrap");
    command
        .args(["--variant=extract", "--components=main"])
        .args([
            "--aptopt=Acquire::Check-Valid-Until \"false\"",
            "--aptopt=APT::Install-Recommends \"false\"",
        ])
        .arg(format!("--include={packages}"))
        .arg(suite)
        .arg(folder)
        .arg(mirror);
    command
}

/// Moves a freshly unpacked lab to its name; whoever comes second uses the first one's.
fn keep(lab: &Lab, cache: &Path) -> Result<Lab> {
    let number = lab.version.split([' ', '+']).nth(1).unwrap_or(MAJOR);
    let home = cache.join(format!("asterisk-{number}"));
    if fs::rename(&lab.root, &home).is_err() {
        let _ = fs::remove_dir_all(&lab.root);
    }
    open(&home)
}

/// Asks an unpacked Asterisk for its version and refuses any but the one we speak to.
fn open(root: &Path) -> Result<Lab> {
    let libraries = libraries(root)?;
    let loader = fs::read_dir(&libraries)
        .map_err(|error| format!("{}: {error}", libraries.display()))?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("ld-linux"))
        })
        .ok_or_else(|| format!("{} holds no ld.so", libraries.display()))?;
    let output = Command::new(loader)
        .arg("--library-path")
        .arg(&libraries)
        .arg(root.join("usr/sbin/asterisk"))
        .arg("-V")
        .output()
        .map_err(|error| format!("the unpacked Asterisk does not run: {error}"))?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if version.starts_with(&format!("Asterisk {MAJOR}.")) {
        Ok(Lab {
            root: root.to_owned(),
            version,
        })
    } else {
        Err(format!(
            "Asterisk {MAJOR} is wanted, {} says \"{version}\"; delete that folder to unpack again",
            root.display()
        ))
    }
}

/// The multi-arch library folder, whatever the machine's architecture.
fn libraries(root: &Path) -> Result<PathBuf> {
    let lib = root.join("usr/lib");
    fs::read_dir(&lib)
        .map_err(|error| format!("{}: {error}", lib.display()))?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.join("asterisk/modules").is_dir())
        .ok_or_else(|| format!("{} holds no Asterisk modules", lib.display()))
}

/// The Debian mirror that apt uses, or the one a person names.
pub(crate) fn mirror() -> Result<String> {
    if let Ok(mirror) = env::var("ROLLCALL_DEBIAN_MIRROR") {
        return Ok(mirror);
    }
    let targets = Command::new("apt-get")
        .args([
            "indextargets",
            "--format",
            "$(ORIGIN) $(SUITE) $(REPO_URI)",
            "Created-By: Packages",
        ])
        .output()
        .map_err(|error| format!("apt-get indextargets: {error}"))?;
    let listing = String::from_utf8_lossy(&targets.stdout);
    listing
        .lines()
        .filter_map(|line| line.strip_prefix("Debian "))
        .filter_map(|line| line.split_once(' '))
        .find(|(suite, _)| !suite.contains("security"))
        .map(|(_, uri)| uri.to_owned())
        .ok_or_else(|| {
            "apt knows no Debian mirror (run `apt-get update`?): name one in ROLLCALL_DEBIAN_MIRROR"
                .to_owned()
        })
}
