//! TLS of the server's own (rustls, ring), for who puts no proxy in front.
//!
//! The certificate is looked at every few seconds: a renewed one is taken up for the connections
//! that come from then on, and a broken one is said to be broken while the old one goes on.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::config::TlsConfig;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Why TLS cannot be spoken.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file is not what it should be.
    #[error("{path} holds no {what} in PEM form")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// The key does not fit, or is of a kind that is not spoken.
    #[error("the certificate and its key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// The certificate in use, and where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    files: TlsConfig,
    certificate: Arc<Certificate>,
    config: Arc<ServerConfig>,
}

#[derive(Debug)]
struct Certificate(RwLock<Arc<CertifiedKey>>);

/// What tells a file that was changed from one that was not.
type Stamp = [Option<(SystemTime, u64)>; 2];

impl Tls {
    /// Reads the files.
    pub(crate) fn open(files: &TlsConfig) -> Result<Self, TlsError> {
        let certificate = Arc::new(Certificate(RwLock::new(read(files)?)));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::<Certificate>::clone(&certificate));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            files: files.clone(),
            certificate,
            config: Arc::new(config),
        })
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }

    /// Takes up renewed files until stopped.
    pub(crate) async fn watch(self, stop: CancellationToken) {
        let mut seen = self.stamp();
        let mut ticks = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let stamp = self.stamp();
            if stamp == seen {
                continue;
            }
            match read(&self.files) {
                Ok(renewed) => {
                    let mut current = self
                        .certificate
                        .0
                        .write()
                        .unwrap_or_else(PoisonError::into_inner);
                    *current = renewed;
                    seen = stamp;
                    tracing::info!("the TLS certificate was read anew");
                }
                // Looked at again: who renews writes two files, one after the other.
                Err(error) => {
                    tracing::warn!(%error, "the changed TLS certificate cannot be used; the old one goes on");
                }
            }
        }
    }

    fn stamp(&self) -> Stamp {
        let of = |path: &Path| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        [of(&self.files.certificate), of(&self.files.key)]
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&current))
    }
}

/// Reads a chain and its key, and sees to it that they belong together.
fn read(files: &TlsConfig) -> Result<Arc<CertifiedKey>, TlsError> {
    let text = |path: &Path| {
        fs::read(path).map_err(|error| TlsError::File {
            path: path.into(),
            error,
        })
    };
    let no = |path: &Path, what| TlsError::Pem {
        path: path.into(),
        what,
    };
    let chain = CertificateDer::pem_slice_iter(&text(&files.certificate)?)
        .collect::<Result<Vec<_>, _>>()
        .ok()
        .filter(|chain| !chain.is_empty())
        .ok_or_else(|| no(&files.certificate, "certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(&text(&files.key)?)
        .map_err(|_| no(&files.key, "private key"))?;
    Ok(Arc::new(CertifiedKey::from_der(
        chain,
        key,
        &ring::default_provider(),
    )?))
}
