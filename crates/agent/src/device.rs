//! The id of this device: made once, kept in a file.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use rollcall_wire::check;
use uuid::Uuid;

/// A device id that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DeviceIdError {
    /// The file cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// The file holds something else.
    #[error("{path}: what it holds {refused}; remove the file to get a new id")]
    NotOne {
        /// Which.
        path: String,
        /// Why it is none.
        refused: check::Refused,
    },
}

/// The id in `path`; a new one is made and written there if the file does not exist.
pub fn device_id(path: &Path) -> Result<String, DeviceIdError> {
    let file = |error| DeviceIdError::File {
        path: path.display().to_string(),
        error,
    };
    match fs::read_to_string(path) {
        Ok(text) => existing(path, text.trim()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path).map_err(file),
        Err(error) => Err(file(error)),
    }
}

fn existing(path: &Path, id: &str) -> Result<String, DeviceIdError> {
    match check::device_id(id) {
        Ok(()) => Ok(id.to_owned()),
        Err(refused) => Err(DeviceIdError::NotOne {
            path: path.display().to_string(),
            refused,
        }),
    }
}

fn create(path: &Path) -> io::Result<String> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let id = Uuid::new_v4().to_string();
    let mut file = fs::File::create_new(path)?;
    writeln!(file, "{id}")?;
    file.sync_all()?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_keeps_its_id() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/device-id");
        let first = device_id(&path).unwrap();
        assert_eq!(device_id(&path).unwrap(), first);
        assert!(check::device_id(&first).is_ok());
    }

    #[test]
    fn a_file_that_holds_something_else_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("device-id");
        fs::write(&path, "not an id\r\nat all").unwrap();
        assert!(matches!(
            device_id(&path),
            Err(DeviceIdError::NotOne { .. })
        ));
        assert_eq!(fs::read_to_string(&path).unwrap(), "not an id\r\nat all");
    }
}
