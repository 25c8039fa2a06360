//! One demo at a time: a lock file, held as long as this process lives.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};

use nix::fcntl::{Flock, FlockArg};

use crate::{Result, workspace};

/// Takes the lock, or says who has it.
pub(crate) fn take() -> Result<Flock<File>> {
    let folder = workspace::cache()?;
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let path = folder.join("run.lock");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    let mut holder = String::new();
    let _ = file.read_to_string(&mut holder);
    let mut lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| {
        format!(
            "the demo runs already (process {}): end that one first with Ctrl-C, or `kill {}`",
            holder.trim(),
            holder.trim()
        )
    })?;
    let note = |lock: &mut File| -> std::io::Result<()> {
        lock.set_len(0)?;
        lock.rewind()?;
        writeln!(lock, "{}", std::process::id())
    };
    note(&mut lock).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(lock)
}
