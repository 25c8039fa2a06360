//! `cargo xtask image`: the lines of `packaging/Containerfile`, carried out without a container engine and without a
//! registry, and what comes of them started as a container would start it.
//!
//! Of a stage's base image Debian's packages stand in its place, unpacked by mmdebstrap; the first stage, which builds, is
//! this machine. An instruction that it does not know is an error, so that no line of the file goes untried.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::process::Household;
use crate::{Result, compile, lab, packages, step, workspace};

const FILE: &str = "packaging/Containerfile";
/// What the server is called while it runs.
const NAME: &str = "the image's server";
/// A start takes a second.
const START: Duration = Duration::from_secs(60);

/// What the image says of the program in it.
#[derive(Default)]
struct Image {
    root: PathBuf,
    user: String,
    entrypoint: Vec<String>,
    arguments: Vec<String>,
}

/// Makes the image's file system beneath the target folder, starts the server in it, and asks whether it is well.
pub(crate) fn image() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        return Err("a file system of other users' files wants root: run it as root".to_owned());
    }
    packages::ensure(&[packages::BUILD, &["mmdebstrap", "debian-archive-keyring"]])?;
    let path = workspace::root().join(FILE);
    let text = fs::read_to_string(&path).map_err(|error| format!("{FILE}: {error}"))?;
    let mut image = Image::default();
    let mut stage = 0;
    for line in instructions(&text) {
        println!("==> {line}");
        let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match (word, stage) {
            ("FROM", 0) => stage = 1,
            ("FROM", _) => {
                stage = 2;
                image.root = base(rest)?;
            }
            // Here is the source, and it lies where it lies.
            ("WORKDIR" | "COPY", 1) => {}
            ("RUN", 1) => build(rest)?,
            ("RUN", 2) => run(&image.root, rest)?,
            ("COPY", 2) => copy(&image.root, rest)?,
            ("USER", 2) => rest.clone_into(&mut image.user),
            ("ENTRYPOINT", 2) => image.entrypoint = words(rest),
            ("CMD", 2) => image.arguments = words(rest),
            // For who runs it; TERM is what ends it below.
            ("VOLUME" | "EXPOSE" | "STOPSIGNAL", 2) => {}
            _ => return Err(format!("{FILE} has a line that is not known here: {line}")),
        }
    }
    start(&image)?;
    println!("the image is in {}", step::shown(&image.root));
    Ok(())
}

/// The file's instructions, a line each, without comments.
fn instructions(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let lines = joined.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The words of `["a", "b"]`.
fn words(list: &str) -> Vec<String> {
    let list = list.trim_matches(['[', ']']).split(',');
    list.map(|word| word.trim().trim_matches('"').to_owned())
        .collect()
}

/// `debian:SUITE-slim` from Debian's packages, fresh.
fn base(image: &str) -> Result<PathBuf> {
    let tag = image.rsplit_once("debian:").map(|(_, tag)| tag);
    let suite = tag.and_then(|tag| tag.split('-').next());
    let suite = suite.ok_or_else(|| format!("{image} is no Debian"))?;
    let root = workspace::target().join("image");
    if root.exists() {
        fs::remove_dir_all(&root).map_err(|error| format!("{}: {error}", root.display()))?;
    }
    step::run(
        &format!("make the base of Debian {suite}"),
        Command::new("mmdebstrap")
            .args(["--variant=minbase", "--components=main"])
            .arg("--aptopt=Acquire::Check-Valid-Until \"false\"")
            .arg(suite)
            .arg(&root)
            .arg(lab::mirror()?),
    )?;
    Ok(root)
}

/// The building stage's line, on this machine.
fn build(line: &str) -> Result<()> {
    let Some(words) = line.strip_prefix("cargo ") else {
        return Err(format!("the building stage runs more than cargo: {line}"));
    };
    let words: Vec<&str> = words.split(' ').collect();
    step::run("build the server for release", &mut compile::cargo(&words)).map(drop)
}

fn run(root: &Path, line: &str) -> Result<()> {
    let mut chroot = Command::new("chroot");
    chroot.arg(root).args(["/bin/sh", "-c", line]);
    step::run("run that in it", &mut chroot).map(drop)
}

fn copy(root: &Path, line: &str) -> Result<()> {
    let words: Vec<&str> = line.split(' ').collect();
    let (from, to) = match words[..] {
        ["--from=build", from, to] => {
            let built = from.strip_prefix("/source/target/");
            let built = built.ok_or_else(|| format!("{from} is not what was built"))?;
            (workspace::target().join(built), to)
        }
        [from, to] => (workspace::root().join(from), to),
        _ => return Err(format!("COPY of more than one file: {line}")),
    };
    let mut install = Command::new("install");
    install.arg("-D").arg("--preserve-timestamps");
    // As a container engine does it: with the file's own mode.
    let mode = if to.contains("/bin/") { "0755" } else { "0644" };
    install
        .args(["--mode", mode])
        .arg(&from)
        .arg(root.join(to.trim_start_matches('/')));
    step::run("copy that into it", &mut install).map(drop)
}

/// Starts it as its own user, with the secret that a site mounts, asks it, and ends it.
fn start(image: &Image) -> Result<()> {
    let secret = image.root.join("etc/rollcall/ami.secret");
    fs::write(&secret, "of nobody").map_err(|error| format!("{}: {error}", secret.display()))?;
    run(
        &image.root,
        &format!(
            "chown {0}:{0} /etc/rollcall/ami.secret && chmod 0400 /etc/rollcall/ami.secret",
            image.user
        ),
    )?;
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let address = free.map_err(|error| error.to_string())?.to_string();
    let mut server = Command::new("chroot");
    server
        .arg(format!("--userspec={0}:{0}", image.user))
        .arg(&image.root)
        .args(&image.entrypoint)
        .args(&image.arguments)
        .env("ROLLCALL_LISTEN", &address);
    let log = workspace::target().join("xtask-log/image.log");
    let mut household = Household::new()?;
    println!(
        "==> start it as {} (log: {})",
        image.user,
        step::shown(&log)
    );
    household.start(NAME, &server, &log)?;
    let well = well(&mut household, &address);
    household.end_one(NAME);
    well?;
    println!("    /healthz is answered 200");
    Ok(())
}

fn well(household: &mut Household, address: &str) -> Result<()> {
    let begun = Instant::now();
    loop {
        match ask(address) {
            Ok(answer) if answer.starts_with("HTTP/1.1 200") => return Ok(()),
            _ if !household.is_running(NAME) => return Err(format!("{NAME} ended; see its log")),
            Ok(answer) if begun.elapsed() > START => return Err(format!("it answers {answer}")),
            Err(error) if begun.elapsed() > START => return Err(format!("{address}: {error}")),
            _ => thread::sleep(Duration::from_millis(100)),
        }
    }
}

fn ask(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(START))?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: image\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::{instructions, words};

    #[test]
    fn continued_lines_are_one_instruction_and_comments_are_none() {
        let text = "# said\nFROM a AS b\n\nRUN one \\\n    && two\nCMD [\"serve\", \"--x\"]\n";
        let said = instructions(text);
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(said[1].starts_with("RUN one ") && said[1].ends_with("&& two"));
        assert_eq!(words("[\"serve\", \"--x\"]"), ["serve", "--x"]);
    }
}
