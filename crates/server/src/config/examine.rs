//! What a configuration comes to, beyond its being one: are the secrets there, and kept?

use std::path::Path;

use super::{Config, ConfigError, Mode};
use crate::tls::Tls;

impl Config {
    /// What it would do, line by line; an error where it could not start for want of a secret
    /// or a certificate.
    /// Reads files, and neither makes nor changes any.
    pub fn examine(&self) -> Result<Vec<String>, ConfigError> {
        let mut lines = vec![
            format!("listens on {}", self.listen),
            format!("keeps its data in {}", self.data_dir.display()),
            match self.mode {
                Mode::Mirror => "mirrors the contacts that Asterisk reports".to_owned(),
                Mode::Shared => "shares ps_contacts with Asterisk".to_owned(),
                Mode::Claims => "records what the apps claim, and proves none of it".to_owned(),
            },
        ];
        self.database.password()?;
        lines.extend(self.database.password_file.as_deref().and_then(exposed));
        if let Some(files) = &self.tls {
            Tls::open(files).map_err(|error| ConfigError::Invalid(format!("[tls] {error}")))?;
            lines.push("speaks TLS".to_owned());
            lines.extend(exposed(&files.key));
        }
        match &self.ami {
            Some(ami) => {
                ami.resolve_secret()?;
                lines.push(format!("asks Asterisk at {}:{}", ami.host, ami.port));
                lines.extend(ami.secret_file.as_deref().and_then(exposed));
            }
            None => lines.push("has no [ami]: nobody can be proved available".to_owned()),
        }
        if let Some(ari) = &self.ari {
            ari.resolve_secret()?;
            lines.push(format!("evicts over {}", ari.url));
            lines.extend(ari.secret_file.as_deref().and_then(exposed));
        }
        if let Some(address) = self.metrics.listen {
            lines.push(format!("serves figures on {address}"));
        }
        Ok(lines)
    }
}

/// A warning about a secret that others than its owner can read.
fn exposed(path: &Path) -> Option<String> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(path).ok()?.permissions().mode();
        if mode & 0o077 != 0 {
            return Some(format!(
                "warning: {} is open to others than its owner (mode {:o}): chmod 0600",
                path.display(),
                mode & 0o777
            ));
        }
    }
    #[cfg(not(unix))]
    let _ = path;
    None
}
