//! The house keeps its walls: who may use whom, one door for each foreign library, no file too long to read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};
use rollcall_e2e::surroundings::repository;

/// Every package of the workspace and what of ours it may be built from. Tests may use more.
const MAY_USE: &[(&str, &[&str])] = &[
    ("rollcall", &["agent", "wire", "server", "pocket-pbx"]),
    ("rollcall-wire", &[]),
    ("rollcall-sip", &[]),
    ("rollcall-media", &[]),
    ("rollcall-audio", &[]),
    ("rollcall-phone", &["sip", "media", "audio"]),
    ("rollcall-agent", &["phone", "server-client", "wire"]),
    ("rollcall-alignment", &[]),
    ("rollcall-ami", &[]),
    ("rollcall-server", &["alignment", "ami", "wire"]),
    ("rollcall-server-client", &["wire"]),
    ("rollcall-pocket-pbx", &["sip", "media", "ami"]),
    ("rollcall-testkit", &[]),
    ("rollcall-e2e", &["ami", "server-client", "wire"]),
    ("rollcall-bench", &["audio", "e2e", "media"]),
    ("xtask", &[]),
];

/// Of the desktop app's rooms, those that only "Try it on this computer" brings in.
const EMBEDDED_ONLY: [&str; 2] = ["server", "pocket-pbx"];

/// What no product links, whatever its features.
const DEV_ONLY: &str = "rollcall-testkit";

/// A foreign library, the words its use begins with, and the one place that may say them.
const DOORS: &[(&str, &[&str], &str)] = &[
    ("rsip", &["rsip::", "use rsip"], "crates/sip/src/message"),
    ("cpal", &["cpal::", "use cpal"], "crates/audio/src/device"),
    ("opus", &["opus::", "use opus"], "crates/media/src/codec"),
    (
        "opusic-c",
        &["opusic_c::", "use opusic_c"],
        "crates/media/src/codec",
    ),
    (
        "sonora",
        &["sonora::", "sonora_aec3::", "use sonora"],
        "crates/audio/src/processing/webrtc",
    ),
    (
        "rubato",
        &["rubato::", "use rubato"],
        "crates/audio/src/rate.rs",
    ),
    (
        "audio-codec",
        &["audio_codec::", "use audio_codec"],
        "crates/media/src/codec/g722.rs",
    ),
    (
        "aes, hmac and gcm",
        &["aes::", "aes_gcm::", "hmac::", "use aes", "use hmac"],
        "crates/media/src/srtp/cipher.rs",
    ),
    (
        "hickory-resolver",
        &["hickory_resolver::", "use hickory_resolver"],
        "crates/phone/src/resolve",
    ),
    (
        "rustix",
        &["rustix::", "use rustix"],
        "crates/server/src/auth/passwords.rs",
    ),
    (
        "quick-xml",
        &["quick_xml::", "use quick_xml"],
        "crates/sip/src/package/dialog_info.rs",
    ),
    (
        "rustls-platform-verifier",
        &["rustls_platform_verifier::", "use rustls_platform_verifier"],
        "crates/phone/src/transport",
    ),
    ("@tauri-apps", &["@tauri-apps/"], "ui/src/platform"),
];

/// Crates that are told the time, each with the files that may ask for it: the thin shells around a sans-IO core.
const CLOCKLESS: &[(&str, &[&str])] = &[
    ("crates/alignment/src", &[]),
    ("crates/ami/src", &["crates/ami/src/client.rs"]),
    ("crates/media/src", &[]),
    ("crates/pocket-pbx/src", &["crates/pocket-pbx/src/shell.rs"]),
    ("crates/sip/src", &[]),
];

/// Longer files are not read.
const LONGEST: usize = 800;

#[test]
fn every_room_uses_only_the_rooms_it_may() {
    let metadata = metadata();
    let allowed: BTreeMap<&str, BTreeSet<String>> = MAY_USE
        .iter()
        .map(|(room, rooms)| {
            (
                *room,
                rooms
                    .iter()
                    .map(|name| format!("rollcall-{name}"))
                    .collect(),
            )
        })
        .collect();
    let mut broken = Vec::new();
    for package in metadata.workspace_packages() {
        let Some(allowed) = allowed.get(package.name.as_str()) else {
            broken.push(format!(
                "{} stands on no list: add it to this test and to the architecture",
                package.name
            ));
            continue;
        };
        for dependency in package
            .dependencies
            .iter()
            .filter(|d| d.kind != DependencyKind::Development)
        {
            let ours = dependency.name.starts_with("rollcall");
            if ours && !allowed.contains(&dependency.name) {
                broken.push(format!("{} uses {}", package.name, dependency.name));
            }
            if dependency.name == DEV_ONLY {
                broken.push(format!(
                    "{} links {DEV_ONLY}, which is for tests",
                    package.name
                ));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_package_that_the_architecture_names_exists() {
    let metadata = metadata();
    let present: BTreeSet<&str> = metadata
        .workspace_packages()
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    let named: BTreeSet<&str> = MAY_USE.iter().map(|(room, _)| *room).collect();
    assert_eq!(present, named);
}

#[test]
fn server_and_phone_never_meet_but_in_the_embedded_app() {
    let metadata = metadata();
    let edges = uses(&metadata);
    for (room, never) in [
        ("rollcall-server", "rollcall-phone"),
        ("rollcall-server", "rollcall-sip"),
        ("rollcall-agent", "rollcall-server"),
    ] {
        assert!(
            !reach(&edges, room).contains(never),
            "{room} reaches {never}"
        );
    }
    let app = metadata
        .workspace_packages()
        .into_iter()
        .find(|package| package.name == "rollcall")
        .map(|package| package.dependencies.clone());
    for dependency in app.unwrap_or_default() {
        if EMBEDDED_ONLY
            .iter()
            .any(|name| dependency.name == format!("rollcall-{name}"))
        {
            assert!(
                dependency.optional,
                "the app links {} even without its feature `embedded`",
                dependency.name
            );
        }
    }
}

#[test]
fn a_foreign_library_enters_by_one_door() {
    let mut broken = Vec::new();
    for (library, words, door) in DOORS {
        let mut behind = 0;
        for path in sources()
            .iter()
            .filter(|path| !path.ends_with("tests/suites/architecture.rs"))
        {
            let text = read(path);
            let says = text
                .lines()
                .any(|line| words.iter().any(|word| names(line, word)));
            match (says, relative(path).starts_with(door)) {
                (true, false) => broken.push(format!(
                    "{} names {library}; its door is {door}",
                    relative(path)
                )),
                (true, true) => behind += 1,
                (false, _) => {}
            }
        }
        assert!(
            behind > 0,
            "nothing in {door} names {library}: the door has moved, or the library is not used"
        );
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn a_protocol_crate_reads_no_clock() {
    let clocks = ["Instant::now", "SystemTime::now"];
    let mut asking = Vec::new();
    for path in sources() {
        let place = relative(&path);
        let bound = CLOCKLESS
            .iter()
            .any(|(room, shells)| place.starts_with(room) && !shells.contains(&place.as_str()));
        let test = place.ends_with("/tests.rs") || place.contains("/tests/");
        let text = read(&path);
        // What follows is compiled for tests only, by the house's order of a file.
        let product = text.split("#[cfg(test)]").next().unwrap_or_default();
        let asks = product
            .lines()
            .any(|line| clocks.iter().any(|clock| names(line, clock)));
        if bound && !test && asks {
            asking.push(place);
        }
    }
    assert!(asking.is_empty(), "these read a clock: {asking:#?}");
    for (_, shells) in CLOCKLESS {
        for shell in *shells {
            let text = read(&repository().join(shell));
            assert!(
                text.contains("Instant::now"),
                "{shell} is no shell any more: take it off the list"
            );
        }
    }
}

#[test]
fn no_file_is_too_long_to_read() {
    let long: Vec<String> = sources()
        .iter()
        .map(|path| (relative(path), read(path).lines().count()))
        .filter(|(path, lines)| *lines > LONGEST && !path.contains("/generated/"))
        .map(|(path, lines)| format!("{path}: {lines} lines"))
        .collect();
    assert!(long.is_empty(), "longer than {LONGEST} lines: {long:#?}");
}

/// A line of code, not of comment, that says `word` as a word of its own.
fn names(line: &str, word: &str) -> bool {
    let code = line.split("//").next().unwrap_or("");
    code.match_indices(word)
        .any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'))
        || (word.starts_with('@') && line.contains(word))
}

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(repository().join("Cargo.toml"))
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec()
        .unwrap_or_else(|error| panic!("cargo metadata: {error}"))
}

fn uses(metadata: &Metadata) -> BTreeMap<String, BTreeSet<String>> {
    let built_from = |package: &cargo_metadata::Package| {
        let product = package
            .dependencies
            .iter()
            .filter(|d| d.kind == DependencyKind::Normal);
        product
            .map(|d| d.name.clone())
            .filter(|name| name.starts_with("rollcall"))
            .collect()
    };
    metadata
        .workspace_packages()
        .into_iter()
        .map(|package| (package.name.to_string(), built_from(package)))
        .collect()
}

fn reach(edges: &BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut next = vec![from.to_owned()];
    while let Some(room) = next.pop() {
        for other in edges.get(&room).into_iter().flatten() {
            if reached.insert(other.clone()) {
                next.push(other.clone());
            }
        }
    }
    reached
}

/// Every source file of ours.
fn sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for folder in ["crates", "src-tauri", "ui", "benches", "tests", "xtask"] {
        collect(&repository().join(folder), &mut files);
    }
    assert!(files.len() > 30, "this test looks in the wrong place");
    files
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for path in entries.map(|entry| entry.unwrap_or_else(|error| panic!("{error}")).path()) {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() && !["node_modules", "dist", "target", "gen"].contains(&name.as_str()) {
            collect(&path, files);
        } else if [".rs", ".ts", ".tsx", ".css"]
            .iter()
            .any(|ending| name.ends_with(ending))
        {
            files.push(path);
        }
    }
}

fn relative(path: &Path) -> String {
    path.strip_prefix(repository())
        .unwrap_or(path)
        .display()
        .to_string()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
