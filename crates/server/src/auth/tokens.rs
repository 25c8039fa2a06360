//! Opaque tokens: 256 random bits each, of which only the SHA-256 is kept.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::{TryRngCore as _, rngs::OsRng};
use rollcall_wire::http::Tokens;
use sha2::{Digest as _, Sha256};

use crate::{
    config::AuthConfig,
    db::{TokenHash, TokenPair},
};

const BYTES: usize = 32;
/// The length of a token in text form; anything else is refused before it is hashed.
const TEXT: usize = (BYTES * 4).div_ceil(3);

/// A fresh pair: what the client gets, and what the table gets.
pub(crate) fn issue(config: &AuthConfig, now: u64) -> Result<(Tokens, TokenPair), OutOfRandomness> {
    let (access, refresh) = (random()?, random()?);
    let pair = TokenPair {
        access: sha256(&access),
        access_expires: now.saturating_add(config.access_ttl_ms),
        refresh: sha256(&refresh),
        refresh_expires: now.saturating_add(config.refresh_ttl_ms),
    };
    let tokens = Tokens {
        sip: access,
        refresh,
    };
    Ok((tokens, pair))
}

/// A secret that nobody chose: a SIP password of a session's own.
pub(crate) fn secret() -> Result<String, OutOfRandomness> {
    random()
}

/// The hash to look a presented token up by; `None` if it cannot be one of ours.
pub(crate) fn hash(token: &str) -> Option<TokenHash> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    (token.len() == TEXT && token.bytes().all(plain)).then(|| sha256(token))
}

/// The token in an Authorization header: `Bearer <token>`, or bare as the seed sends it.
pub(crate) fn in_header(value: &str) -> &str {
    let value = value.trim();
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => value,
    }
}

/// The system has no randomness to give.
#[derive(Debug, thiserror::Error)]
#[error("the system gave no random bytes")]
pub(crate) struct OutOfRandomness;

fn random() -> Result<String, OutOfRandomness> {
    let mut bytes = [0_u8; BYTES];
    OsRng
        .try_fill_bytes(&mut bytes)
        .map_err(|_| OutOfRandomness)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn sha256(token: &str) -> TokenHash {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_by_its_hash_and_no_two_are_alike() {
        let (tokens, pair) = issue(&AuthConfig::default(), 1_000).unwrap();
        assert_eq!(hash(&tokens.sip), Some(pair.access));
        assert_eq!(hash(&tokens.refresh), Some(pair.refresh));
        assert_ne!(pair.access, pair.refresh);
        assert_eq!(pair.access_expires, 1_000 + 3_600_000);
    }

    #[test]
    fn what_cannot_be_a_token_is_not_looked_up() {
        for bad in ["", "x", &"a".repeat(TEXT + 1), &"'".repeat(TEXT)] {
            assert_eq!(hash(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_header_carries_the_token_with_bearer_or_bare() {
        assert_eq!(in_header("Bearer abc"), "abc");
        assert_eq!(in_header("bearer  abc"), "abc");
        assert_eq!(in_header("abc"), "abc");
    }
}
