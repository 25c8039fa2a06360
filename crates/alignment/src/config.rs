//! The periods and policies the rules run by.

use std::time::Duration;

/// What a second device of the same extension means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DevicePolicy {
    /// Refused while the first one is there.
    Single,
    /// A lease each; the agent is Available when any of them is.
    #[default]
    Multi,
    /// The newest ends the others.
    Takeover,
}

/// Whether a contact whose reachability nobody tested may count as reachable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NonQualifiedPolicy {
    /// It may not: reason `not_qualified`.
    #[default]
    Refuse,
    /// The admin said so: Available on the registration alone.
    Accept,
}

/// Everything configurable here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// How often an app is expected to say that it lives.
    pub heartbeat: Duration,
    /// How long one such word counts.
    pub lease: Duration,
    /// After our own start, how long leases of before are believed in, shown as Unknown.
    pub grace: Duration,
    /// The period of full lists from Asterisk.
    pub resync: Duration,
    /// The least time between two full lists that contradictions ask for.
    pub resync_spacing: Duration,
    /// How long a full list may take before it is asked for again.
    pub resync_timeout: Duration,
    /// How long a device that said it is online may take to own a contact.
    pub registering: Duration,
    /// The period of our own qualify asks where Asterisk does not test by itself.
    pub qualify: Duration,
    /// How long a contact that should be gone may take to go by itself before it is evicted.
    pub evict_after: Duration,
    /// The least time between two evictions of the same contact.
    pub evict_again: Duration,
    /// How long a lost registration may take to come back before the app is asked to mend it, and
    /// the least time between two such asks is ten of these.
    pub nudge_after: Duration,
    /// How long after our start the first snapshot waits for Asterisk's full lists.
    pub first_lists: Duration,
    /// How long the answer to a logout waits for the call to end before it says that it is pending.
    pub logout_patience: Duration,
    /// How long a commit may take before the database counts as lost.
    pub commit_timeout: Duration,
    /// The period of attempts while the database is lost.
    pub commit_retry: Duration,
    /// How many contacts are evicted at most in one second (R10); at least 1.
    pub evictions_per_second: u32,
    /// How many apps are asked to REGISTER again at most in one second; at least 1.
    pub reregistrations_per_second: u32,
    /// How many endpoints Asterisk is asked to qualify at most in one second; at least 1.
    pub qualifies_per_second: u32,
    /// Policy on several devices.
    pub devices: DevicePolicy,
    /// Policy on untested contacts.
    pub non_qualified: NonQualifiedPolicy,
    /// R9: so many leases ending within one heartbeat, and a fifth of all, are our own fault.
    pub mass_loss: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            heartbeat: Duration::from_secs(5),
            lease: Duration::from_secs(15),
            grace: Duration::from_secs(15),
            resync: Duration::from_secs(60),
            resync_spacing: Duration::from_millis(200),
            resync_timeout: Duration::from_secs(10),
            registering: Duration::from_secs(20),
            qualify: Duration::from_secs(10),
            evict_after: Duration::from_secs(2),
            evict_again: Duration::from_secs(30),
            nudge_after: Duration::from_secs(1),
            first_lists: Duration::from_secs(2),
            logout_patience: Duration::from_secs(2),
            commit_timeout: Duration::from_secs(2),
            commit_retry: Duration::from_secs(1),
            evictions_per_second: 20,
            reregistrations_per_second: 50,
            qualifies_per_second: 100,
            devices: DevicePolicy::default(),
            non_qualified: NonQualifiedPolicy::default(),
            mass_loss: 5,
        }
    }
}
