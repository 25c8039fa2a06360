//! `cargo xtask setup` on machines that are not this one: what is missing is installed where it can be, and named with
//! the exact command where it cannot. The machine's package tools are stand-ins that write down how they were called.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use rollcall_e2e::surroundings;
use tempfile::TempDir;

const NODE: &str = "#!/bin/sh\necho v22.11.0\n";
const NPM: &str = "#!/bin/sh\necho 10.9.0\n";
/// Everything is installed but cmake and xvfb.
const DPKG: &str = "#!/bin/sh\nshift 3\nfor name in \"$@\"; do\n  case $name in cmake|xvfb) ;; *) echo \"$name installed\";; esac\ndone\n";
const APT: &str = "#!/bin/sh\necho \"apt-get $*\" >> \"$CALLS\"\n";
/// Installs only once the lists have been refreshed.
const STALE_APT: &str = "#!/bin/sh\necho \"apt-get $*\" >> \"$CALLS\"\ncase \"$*\" in *update*) touch \"$CALLS.fresh\";; esac\ntest -e \"$CALLS.fresh\"\n";
const BROKEN_APT: &str =
    "#!/bin/sh\necho \"apt-get $*\" >> \"$CALLS\"\necho 'E: no network' >&2\nexit 100\n";
const SUDO: &str = "#!/bin/sh\necho \"sudo $*\" >> \"$CALLS\"\nwhile [ \"$1\" = --non-interactive ]; do shift; done\nexec \"$@\"\n";

const INSTALL: &str = "install --yes --no-install-recommends cmake xvfb";

#[test]
fn root_installs_just_what_is_missing() {
    let machine = Machine::with(&[("apt-get", APT)]);
    let output = machine.setup(As::Root);
    assert!(output.status.success(), "{output:?}");
    let calls = machine.calls();
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert!(calls[0].ends_with(INSTALL), "{calls:?}");
    assert!(said(&output).contains("missing: cmake xvfb"), "{output:?}");
}

#[test]
fn a_machine_that_has_everything_is_left_alone() {
    let all = DPKG.replace("cmake|xvfb", "none");
    let machine = Machine::with(&[("apt-get", APT), ("dpkg-query", &all)]);
    let output = machine.setup(As::Root);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(machine.calls(), Vec::<String>::new());
}

#[test]
fn stale_package_lists_are_refreshed_once() {
    let machine = Machine::with(&[("apt-get", STALE_APT)]);
    let output = machine.setup(As::Root);
    assert!(output.status.success(), "{output:?}");
    let calls = machine.calls();
    assert_eq!(calls.len(), 3, "{calls:?}");
    assert!(
        calls[0].ends_with(INSTALL) && calls[1].ends_with("update") && calls[2].ends_with(INSTALL),
        "{calls:?}"
    );
}

#[test]
fn an_installation_that_fails_ends_with_the_command_to_run_by_hand() {
    let machine = Machine::with(&[("apt-get", BROKEN_APT)]);
    let output = machine.setup(As::Root);
    assert!(!output.status.success(), "{output:?}");
    assert!(said(&output).contains("E: no network"), "{output:?}");
    let by_hand = format!("sudo apt-get update && sudo apt-get {INSTALL}");
    assert!(complained(&output).contains(&by_hand), "{output:?}");
}

#[test]
fn somebody_else_installs_through_sudo() {
    let machine = Machine::with(&[("apt-get", APT), ("sudo", SUDO)]);
    let output = machine.setup(As::Somebody);
    assert!(output.status.success(), "{output:?}");
    let calls = machine.calls();
    assert_eq!(calls.len(), 2, "{calls:?}");
    assert!(
        calls[0].starts_with("sudo --non-interactive env DEBIAN_FRONTEND=noninteractive apt-get"),
        "{calls:?}"
    );
    assert!(calls[1].ends_with(INSTALL), "{calls:?}");
}

#[test]
fn without_root_and_without_sudo_the_command_is_named_and_nothing_is_tried() {
    let machine = Machine::with(&[("apt-get", APT)]);
    let output = machine.setup(As::Somebody);
    assert!(!output.status.success(), "{output:?}");
    let words = complained(&output);
    assert!(
        words.contains("needs root, and there is no sudo") && words.contains(INSTALL),
        "{words}"
    );
    assert_eq!(machine.calls(), Vec::<String>::new());
}

#[test]
fn another_system_is_told_what_is_missing_and_the_exact_command() {
    let machine = Machine::bare(&[("node", NODE), ("npm", NPM)]);
    let output = machine.chore("run", As::Root);
    assert!(!output.status.success(), "{output:?}");
    let words = complained(&output);
    assert!(words.contains("this is not a Debian system"), "{words}");
    assert!(
        words.contains("missing: webkit2gtk-4.1, alsa, dbus-1"),
        "{words}"
    );
    assert!(
        words.contains("sudo dnf install") || words.contains("sudo pacman -S"),
        "{words}"
    );
}

#[test]
fn node_that_is_missing_or_too_old_is_named_before_anything_is_installed() {
    let missing = Machine::bare(&[("dpkg-query", DPKG), ("apt-get", APT)]);
    let output = missing.setup(As::Root);
    assert!(
        complained(&output).contains("Node.js is missing: install Node.js"),
        "{output:?}"
    );
    let old = Machine::with(&[("apt-get", APT), ("node", "#!/bin/sh\necho v18.20.4\n")]);
    let output = old.setup(As::Root);
    assert!(
        complained(&output).contains("v18.20.4 is too old"),
        "{output:?}"
    );
    for machine in [missing, old] {
        assert_eq!(machine.calls(), Vec::<String>::new());
    }
}

/// Who runs the chore.
#[derive(Clone, Copy)]
enum As {
    Root,
    Somebody,
}

/// A machine whose package tools are these.
struct Machine {
    folder: TempDir,
}

impl Machine {
    /// A Debian with Node.js, and `tools` instead of its own.
    fn with(tools: &[(&str, &str)]) -> Machine {
        let machine = Machine::bare(&[("node", NODE), ("npm", NPM), ("dpkg-query", DPKG)]);
        machine.have(tools);
        machine
    }

    /// Nothing but `tools`, and what every Unix has.
    fn bare(tools: &[(&str, &str)]) -> Machine {
        let machine = Machine {
            folder: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(machine.bin()).unwrap();
        for name in ["sh", "env", "touch"] {
            let own = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(name));
            let own = own.iter().find(|path| path.exists()).unwrap();
            std::os::unix::fs::symlink(own, machine.bin().join(name)).unwrap();
        }
        machine.have(tools);
        machine
    }

    fn have(&self, tools: &[(&str, &str)]) {
        for (name, script) in tools {
            let path = self.bin().join(name);
            fs::write(&path, script).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    fn bin(&self) -> std::path::PathBuf {
        self.folder.path().join("bin")
    }

    fn setup(&self, who: As) -> Output {
        self.chore("setup", who)
    }

    fn chore(&self, chore: &str, who: As) -> Output {
        let mut command = Command::new("/usr/bin/unshare");
        // A user namespace of its own, so that the same test means the same whoever runs it.
        command.args(match who {
            As::Root => ["--user", "--map-root-user"].as_slice(),
            As::Somebody => ["--user", "--map-user=1000", "--map-group=1000"].as_slice(),
        });
        command
            .arg(surroundings::binary("xtask"))
            .arg(chore)
            .env("PATH", self.bin())
            .env("CALLS", self.folder.path().join("calls"))
            .env("XDG_CACHE_HOME", self.folder.path())
            .env("CARGO_TARGET_DIR", self.folder.path().join("target"))
            .output()
            .unwrap()
    }

    /// How the tools were called, in order.
    fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.path().join("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn complained(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
