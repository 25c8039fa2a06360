//! The TypeScript the windows read is generated from this crate; drift fails here.
//!
//! To write the files anew: `ROLLCALL_BLESS=1 cargo test -p rollcall-wire --test typescript`.

use std::{collections::BTreeMap, fs, path::Path};

use rollcall_wire::{board, explain, http, ui};
use ts_rs::{Config, TS};

fn generated() -> BTreeMap<String, String> {
    let dir = tempfile::tempdir().unwrap();
    let config = Config::new().with_out_dir(dir.path());
    ui::PhoneView::export_all(&config).unwrap();
    ui::DashboardView::export_all(&config).unwrap();
    ui::SignIn::export_all(&config).unwrap();
    board::Agent::export_all(&config).unwrap();
    explain::Explanation::export_all(&config).unwrap();
    explain::Available::export_all(&config).unwrap();
    http::ErrorBody::export_all(&config).unwrap();
    read(dir.path())
}

fn read(dir: &Path) -> BTreeMap<String, String> {
    let Ok(entries) = fs::read_dir(dir) else {
        return BTreeMap::new();
    };
    entries
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().extension().is_some_and(|e| e == "ts"))
        .map(|entry| {
            (
                entry.file_name().into_string().unwrap(),
                fs::read_to_string(entry.path()).unwrap(),
            )
        })
        .collect()
}

#[test]
fn the_windows_types_are_those_of_this_crate() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ui/src/generated");
    let fresh = generated();
    assert!(fresh.contains_key("PhoneView.ts") && fresh.contains_key("Agent.ts"));
    if std::env::var_os("ROLLCALL_BLESS").is_some() {
        let _ = fs::remove_dir_all(&committed);
        fs::create_dir_all(&committed).unwrap();
        for (name, text) in &fresh {
            fs::write(committed.join(name), text).unwrap();
        }
    }
    assert_eq!(
        read(&committed),
        fresh,
        "ui/src/generated has drifted; ROLLCALL_BLESS=1 cargo test -p rollcall-wire --test typescript writes it anew",
    );
}
