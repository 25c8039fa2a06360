//! Waiting for a condition, with a deadline and a word about what was seen last.

use std::time::{Duration, Instant, SystemTime};

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Long enough for anything that should happen promptly on a busy machine.
pub const PROMPTLY: Duration = Duration::from_secs(10);

/// Looks until `look` finds what it wants, and returns that.
///
/// # Panics
///
/// If `within` passes first: says what was waited for and why `look` was not content the last time.
pub async fn eventually<T>(
    what: &str,
    within: Duration,
    mut look: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let deadline = Instant::now() + within;
    loop {
        let why = match look().await {
            Ok(found) => return found,
            Err(why) => why,
        };
        assert!(
            Instant::now() < deadline,
            "not within {within:?}: {what}; seen last: {why}"
        );
        tokio::time::sleep(LOOK).await;
    }
}

/// The time as boards and ledgers have it: milliseconds since the Unix epoch.
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// The time as Asterisk's tables have it: seconds since the Unix epoch.
pub fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}
