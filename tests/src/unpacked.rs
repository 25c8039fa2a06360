//! Programs that were unpacked into a folder and not installed: run by the C library they came with.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// One such program.
#[derive(Debug)]
pub(crate) struct Unpacked {
    /// Starts it; the path goes to the system as the program.
    pub(crate) loader: PathBuf,
    program: PathBuf,
    libraries: Vec<PathBuf>,
}

impl Unpacked {
    /// `program` beneath `root`, with the libraries beside the C library, in either of its two places, and those in
    /// folders of these names there.
    ///
    /// # Panics
    ///
    /// If there is no such program, or no loader.
    pub(crate) fn find(root: &Path, program: &str, folders: &[&str]) -> Unpacked {
        let program = root.join(program);
        assert!(
            program.is_file(),
            "{} is not there: run `cargo xtask lab fetch`",
            program.display()
        );
        let places = ["usr/lib", "lib"].map(|place| entries(&root.join(place)));
        // Multi-arch folders, whatever the machine's architecture.
        let homes: Vec<PathBuf> = (places.into_iter().flatten())
            .filter(|place| place.to_string_lossy().contains("-linux-gnu"))
            .collect();
        let loader = (homes.iter().flat_map(|home| entries(home)))
            .find(|path| {
                path.file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with("ld-linux"))
            })
            .unwrap_or_else(|| panic!("{} holds no ld.so", root.display()));
        let with_folders = |home: &PathBuf| {
            let folders = folders.iter().map(|folder| home.join(folder));
            folders.chain([home.clone()]).collect::<Vec<_>>()
        };
        Unpacked {
            loader,
            program,
            libraries: homes.iter().flat_map(with_folders).collect(),
        }
    }

    /// The folder of this name among its libraries.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let folders = self.libraries.iter().map(|place| place.join(name));
        folders
            .into_iter()
            .find(|folder| folder.is_dir())
            .unwrap_or_else(|| panic!("{} has no {name}", self.program.display()))
    }

    /// What the loader is told before the program's own arguments.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        let paths = std::env::join_paths(&self.libraries);
        let paths = paths.unwrap_or_else(|error| panic!("{}: {error}", self.program.display()));
        vec!["--library-path".into(), paths, self.program.clone().into()]
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}
