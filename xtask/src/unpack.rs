//! Programs of other people's making that tests run beside ours, unpacked from Debian's packages into the cache: nothing
//! is installed, and none of them starts as a service.

use std::fs;
use std::path::PathBuf;

use crate::{Result, lab, packages, step, workspace};

/// What is unpacked, and where from.
pub(crate) struct Unpacked {
    /// What a person calls it.
    pub(crate) name: &'static str,
    /// Its folder in the cache.
    pub(crate) home: &'static str,
    /// The Debian suite that carries it.
    pub(crate) suite: &'static str,
    /// The packages, by commas; what they depend on comes with them.
    pub(crate) packages: &'static str,
    /// The file that shows that it is there.
    pub(crate) program: &'static str,
}

/// Finds it in the cache or unpacks it there: the folder with its `usr`.
pub(crate) fn fetch(what: &Unpacked) -> Result<PathBuf> {
    let Unpacked { name, suite, .. } = what;
    if let Some(home) = find(what) {
        return Ok(home);
    }
    let cache = workspace::cache()?;
    let home = cache.join(what.home);
    packages::ensure(&[&["mmdebstrap", "debian-archive-keyring"]])?;
    fs::create_dir_all(&cache).map_err(|error| format!("{}: {error}", cache.display()))?;
    let folder = cache.join(format!(".unpacking-{}-{}", std::process::id(), what.home));
    let unpacked = step::run(
        &format!("unpack {name} from Debian {suite}"),
        &mut lab::mmdebstrap(suite, what.packages, &folder, &lab::mirror()?),
    );
    // Whoever comes second uses the first one's.
    if unpacked.is_err() || fs::rename(&folder, &home).is_err() {
        let _ = fs::remove_dir_all(&folder);
    }
    unpacked?;
    find(what).ok_or_else(|| {
        format!(
            "{} holds no {name}; delete that folder to unpack again",
            home.display()
        )
    })
}

/// The folder in the cache, if it was unpacked.
pub(crate) fn find(what: &Unpacked) -> Option<PathBuf> {
    let home = workspace::cache().ok()?.join(what.home);
    home.join(what.program).is_file().then_some(home)
}
