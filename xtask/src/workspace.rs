//! Where things lie: the repository, cargo's target folder, the cache outside the tree.

use std::env;
use std::path::{Path, PathBuf};

use crate::Result;

/// The repository's top.
pub(crate) fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// Cargo's target folder, as cargo itself resolves it.
pub(crate) fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// Where cargo puts the binaries that [`crate::compile`] builds.
pub(crate) fn binaries() -> PathBuf {
    target().join("debug")
}

/// What outlives a checkout: `$XDG_CACHE_HOME/rollcall`, else `~/.cache/rollcall`.
pub(crate) fn cache() -> Result<PathBuf> {
    let from = |name: &str| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    from("XDG_CACHE_HOME")
        .or_else(|| from("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("rollcall"))
        .ok_or_else(|| "neither XDG_CACHE_HOME nor HOME names a folder: set one of them".to_owned())
}
