//! What is linked comes from the registry, under licences that `deny.toml` allows, without the libraries it bans.
//!
//! cargo-deny checks the same and more where it can be had; this holds everywhere.

use std::collections::BTreeSet;
use std::fs;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};
use rollcall_e2e::surroundings::repository;
use toml::{Table, Value};

#[test]
fn every_dependency_has_a_licence_that_we_allow() {
    let allowed = strings(&rules()["licenses"]["allow"]);
    let metadata = metadata();
    let refused: Vec<String> = metadata
        .packages
        .iter()
        .filter(|package| match (&package.license, &package.license_file) {
            (Some(expression), _) => !permits(expression, &allowed),
            (None, Some(file)) => {
                let text = package
                    .manifest_path
                    .parent()
                    .map(|folder| fs::read_to_string(folder.join(file)).unwrap_or_default());
                !text.is_some_and(|text| text.starts_with("MIT License"))
            }
            (None, None) => true,
        })
        .map(|package| {
            format!(
                "{} {}: {:?}",
                package.name, package.version, package.license
            )
        })
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn nothing_banned_is_linked_and_nothing_comes_from_elsewhere() {
    let banned: Vec<String> = rules()["bans"]["deny"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|entry| entry["crate"].as_str().map(str::to_owned))
        .collect();
    assert!(banned.len() > 1, "deny.toml is read wrongly");
    let metadata = metadata();
    let linked: Vec<&str> = metadata
        .packages
        .iter()
        .map(|package| package.name.as_str())
        .filter(|name| banned.iter().any(|ban| ban == name))
        .collect();
    assert!(linked.is_empty(), "{linked:?}");
    let foreign: Vec<String> = metadata
        .packages
        .iter()
        .filter(|package| {
            package
                .source
                .as_ref()
                .is_some_and(|source| !source.is_crates_io())
        })
        .map(|package| format!("{} from {:?}", package.name, package.source))
        .collect();
    assert!(foreign.is_empty(), "{foreign:#?}");
}

#[test]
fn the_server_needs_no_window_no_sound_and_no_page() {
    let metadata = metadata();
    let linked = built_for(&metadata, "rollcall-server");
    assert!(linked.contains(&"axum") && linked.contains(&"libsqlite3-sys"));
    let of_the_app = [
        "tauri",
        "tauri-build",
        "wry",
        "webkit2gtk-sys",
        "gtk-sys",
        "cpal",
        "alsa-sys",
        "opusic-sys",
        "rollcall-audio",
        "rollcall-media",
    ];
    let needed: Vec<&str> = of_the_app
        .into_iter()
        .filter(|name| linked.contains(name))
        .collect();
    assert!(needed.is_empty(), "{needed:?}");
    // The words are right: the app is found to need them.
    let linked = built_for(&metadata, "rollcall");
    let unknown: Vec<&str> = of_the_app
        .into_iter()
        .filter(|name| !linked.contains(name))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// The names of all that a package of ours is built from, its tests' own needs left out.
fn built_for<'a>(metadata: &'a Metadata, package: &str) -> Vec<&'a str> {
    let nodes = &metadata.resolve.as_ref().expect("a resolved graph").nodes;
    let root = metadata
        .packages
        .iter()
        .find(|found| found.name.as_str() == package)
        .unwrap_or_else(|| panic!("there is no {package}"));
    let mut seen = BTreeSet::from([&root.id]);
    let mut open = vec![&root.id];
    while let Some(id) = open.pop() {
        let node = nodes.iter().find(|node| node.id == *id);
        for dependency in node.map(|node| &node.deps).into_iter().flatten() {
            let kinds = &dependency.dep_kinds;
            let only_for_tests = kinds
                .iter()
                .all(|kind| kind.kind == DependencyKind::Development);
            if !only_for_tests && seen.insert(&dependency.pkg) {
                open.push(&dependency.pkg);
            }
        }
    }
    let names = metadata.packages.iter();
    names
        .filter(|found| seen.contains(&found.id))
        .map(|found| found.name.as_str())
        .collect()
}

/// Whether one side of every `OR` within every `AND` is allowed; `/` is how older crates write `OR`.
fn permits(expression: &str, allowed: &[String]) -> bool {
    let plain = expression.replace(['(', ')'], "").replace('/', " OR ");
    plain.split(" AND ").all(|group| {
        group
            .split(" OR ")
            .any(|licence| allowed.iter().any(|known| known == licence.trim()))
    })
}

#[test]
fn an_expression_is_read_by_its_operators() {
    let allowed = ["MIT".to_owned(), "ISC".to_owned()];
    for good in [
        "MIT",
        "MIT/Apache-2.0",
        "GPL-3.0 OR MIT",
        "MIT AND ISC",
        "(MIT OR Apache-2.0) AND ISC",
    ] {
        assert!(permits(good, &allowed), "{good}");
    }
    for bad in [
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "Apache-2.0 WITH LLVM-exception",
    ] {
        assert!(!permits(bad, &allowed), "{bad}");
    }
}

fn rules() -> Table {
    let path = repository().join("deny.toml");
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn strings(value: &Value) -> Vec<String> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|word| word.as_str().map(str::to_owned))
        .collect()
}

/// Of this platform only: cargo has not fetched what others are built from.
fn metadata() -> Metadata {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    MetadataCommand::new()
        .manifest_path(repository().join("Cargo.toml"))
        .other_options([
            "--offline".to_owned(),
            "--locked".to_owned(),
            format!("--filter-platform={platform}"),
        ])
        .exec()
        .unwrap_or_else(|error| panic!("cargo metadata: {error}"))
}
