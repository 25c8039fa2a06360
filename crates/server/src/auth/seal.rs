//! SIP passwords in the database are sealed with a key that lies beside it, in a file of its own.
//!
//! A digest needs the password itself, so it cannot be hashed; sealed, a copy of the database
//! alone gives nobody a phone.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use chacha20poly1305::{
    Key, KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use rand::{TryRngCore as _, rngs::OsRng};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use super::files;
use crate::config::Secret;

const KEY_FILE: &str = "sealing.key";
const KEY: usize = 32;
const NONCE: usize = 24;

/// Seals and opens secrets.
#[derive(Clone)]
pub(crate) struct Seal(XChaCha20Poly1305);

/// Why a secret cannot be sealed or opened.
#[derive(Debug, Error)]
pub enum SealError {
    /// The key file cannot be read or made.
    #[error("the key file {path} cannot be used: {error}")]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// There is none, and something is sealed with it already.
    #[error(
        "the key file {0} is not there, and the SIP passwords in the database are sealed with it: bring it back from its backup"
    )]
    Lost(PathBuf),
    /// What is sealed already does not open with it.
    #[error(
        "the key file {0} is not the one that the SIP passwords in the database are sealed with: bring that one back from its backup"
    )]
    Another(PathBuf),
    /// Sealed with another key, for somebody else, or damaged.
    #[error("a sealed secret does not open with this key file")]
    Damaged,
    /// The system has no randomness to give.
    #[error("the system gave no random bytes")]
    Randomness,
}

impl Seal {
    /// Reads the data directory's key, making it (0600) if there is none.
    pub(crate) fn open(data_dir: &Path) -> Result<Self, SealError> {
        let path = data_dir.join(KEY_FILE);
        let fail = |error| SealError::KeyFile {
            path: path.clone(),
            error,
        };
        files::private_dir(data_dir).map_err(fail)?;
        let key = match fs::read(&path) {
            Ok(key) => Zeroizing::new(key),
            Err(error) if error.kind() == io::ErrorKind::NotFound => make_key(&path)?,
            Err(error) => return Err(fail(error)),
        };
        XChaCha20Poly1305::new_from_slice(&key)
            .map(Self)
            .map_err(|_| fail(io::Error::other("it does not hold 32 bytes")))
    }

    /// The same where a secret is sealed already, for `owner`: a key that is lost is not replaced by
    /// one that opens nothing.
    pub(crate) fn reopen(data_dir: &Path, owner: &str, sealed: &[u8]) -> Result<Self, SealError> {
        let path = data_dir.join(KEY_FILE);
        if !path.exists() {
            return Err(SealError::Lost(path));
        }
        let seal = Self::open(data_dir)?;
        match seal.unseal(owner, sealed) {
            Ok(_) => Ok(seal),
            Err(_) => Err(SealError::Another(path)),
        }
    }

    /// Seals `secret` for `owner`; it opens for nobody else.
    pub(crate) fn seal(&self, owner: &str, secret: &Secret) -> Result<Vec<u8>, SealError> {
        self.seal_bytes(owner.as_bytes(), secret.expose().as_bytes())
    }

    /// Opens what was sealed for `owner`.
    pub(crate) fn unseal(&self, owner: &str, sealed: &[u8]) -> Result<Secret, SealError> {
        let bytes = self.unseal_bytes(owner.as_bytes(), sealed)?;
        String::from_utf8(bytes)
            .map(Secret::new)
            .map_err(|_| SealError::Damaged)
    }

    /// A token is 256 random bits: hashed under a name of its own it is a key.
    fn of_token(token: &str) -> Self {
        let hash = Sha256::new()
            .chain_update(b"rollcall answer\0")
            .chain_update(token);
        let key = Zeroizing::new(<[u8; KEY]>::from(hash.finalize()));
        Self(XChaCha20Poly1305::new(Key::from_slice(key.as_slice())))
    }

    fn seal_bytes(&self, aad: &[u8], msg: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0_u8; NONCE];
        OsRng
            .try_fill_bytes(&mut nonce)
            .map_err(|_| SealError::Randomness)?;
        let payload = Payload { msg, aad };
        let sealed = self
            .0
            .encrypt(XNonce::from_slice(&nonce), payload)
            .map_err(|_| SealError::Damaged)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    fn unseal_bytes(&self, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (nonce, msg) = sealed.split_at_checked(NONCE).ok_or(SealError::Damaged)?;
        self.0
            .decrypt(XNonce::from_slice(nonce), Payload { msg, aad })
            .map_err(|_| SealError::Damaged)
    }
}

/// Seals an answer with the token that asked for it: of the token the database has only the hash,
/// so nobody but its holder opens the answer again. `purpose` is part of the lock.
pub(crate) fn seal_with_token(
    token: &str,
    purpose: &[u8],
    text: &str,
) -> Result<Vec<u8>, SealError> {
    Seal::of_token(token).seal_bytes(purpose, text.as_bytes())
}

/// Opens what [`seal_with_token`] sealed.
pub(crate) fn unseal_with_token(
    token: &str,
    purpose: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<String>, SealError> {
    let bytes = Seal::of_token(token).unseal_bytes(purpose, sealed)?;
    String::from_utf8(bytes)
        .map(Zeroizing::new)
        .map_err(|_| SealError::Damaged)
}

fn make_key(path: &Path) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let mut key = Zeroizing::new(vec![0_u8; KEY]);
    OsRng
        .try_fill_bytes(&mut key)
        .map_err(|_| SealError::Randomness)?;
    match files::write_new(path, &key) {
        Ok(()) => Ok(key),
        // Another process was faster: its key is the key.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::read(path)
            .map(Zeroizing::new)
            .map_err(|error| SealError::KeyFile {
                path: path.into(),
                error,
            }),
        Err(error) => Err(SealError::KeyFile {
            path: path.into(),
            error,
        }),
    }
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_for_its_owner_with_the_same_key_file_only() {
        let dir = tempfile::tempdir().unwrap();
        let sealed = Seal::open(dir.path())
            .unwrap()
            .seal("ann", &Secret::new("hush"))
            .unwrap();
        let again = Seal::open(dir.path()).unwrap();
        assert_eq!(again.unseal("ann", &sealed).unwrap().expose(), "hush");
        assert!(again.unseal("bob", &sealed).is_err());
        assert!(again.unseal("ann", &sealed[..10]).is_err());
        let elsewhere = tempfile::tempdir().unwrap();
        let other = Seal::open(elsewhere.path()).unwrap();
        assert!(other.unseal("ann", &sealed).is_err());
        assert!(!sealed.windows(4).any(|part| part == b"hush"));
    }

    #[test]
    fn an_answer_opens_with_its_token_for_its_purpose_only() {
        let sealed = seal_with_token("token", b"refresh", "hush").unwrap();
        let open = |token, purpose: &[u8]| unseal_with_token(token, purpose, &sealed);
        assert_eq!(open("token", b"refresh").unwrap().as_str(), "hush");
        assert!(open("other", b"refresh").is_err());
        assert!(open("token", b"other").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn the_key_file_is_its_owners_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        Seal::open(&data).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&data), 0o700);
        assert_eq!(mode(&data.join(KEY_FILE)), 0o600);
    }

    #[test]
    fn a_key_file_of_the_wrong_size_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(KEY_FILE), "short").unwrap();
        assert!(matches!(
            Seal::open(dir.path()),
            Err(SealError::KeyFile { .. })
        ));
    }
}
