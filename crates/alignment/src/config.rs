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

/// How Asterisk's registrar is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Registrar {
    /// Over AMI: what it reports is what is proved.
    #[default]
    Linked,
    /// Nobody has configured a link: every agent is Unknown, and a logout has nothing to wait for.
    Absent,
    /// By intent there is none (mode `claims`): what the apps claim is recorded, and everybody who
    /// claims is Unverified.
    Claims,
}

/// Everything configurable here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// How often an app is expected to say that it lives.
    pub heartbeat: Duration,
    /// How long one such word counts.
    pub lease: Duration,
    /// After our own start, how long leases of before are believed in, shown as Unknown; and so those that ended while
    /// a source of ours was away, once it is back (R9).
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
    /// How many endpoints are drained, or let back, at most in one second; at least 1.
    pub drains_per_second: u32,
    /// How long a drain, or its end, may take to be seen before it is asked for again.
    pub drain_again: Duration,
    /// Observe only: repairs are concluded and put on the ledger, and none is made (R10).
    pub observe_only: bool,
    /// Phones that nobody is logged in with are evicted; otherwise they are shown, and left alone.
    pub evict_unmanaged: bool,
    /// So many losses of Available within the window are flapping.
    pub flaps: usize,
    /// The window of `flaps`.
    pub flap_window: Duration,
    /// How long who flaps has to stay before it is Available again.
    pub settle: Duration,
    /// An offset of another clock to ours from which on it is warned of.
    pub skew_limit: Duration,
    /// How long a claim counts where nobody can be asked (mode `claims`).
    pub claim_lives: Duration,
    /// How long a new owner of an extension waits for the contacts of the last one to go.
    pub handover: Duration,
    /// How long a proof of availability may take.
    pub proof_patience: Duration,
    /// How Asterisk's registrar is seen.
    pub registrar: Registrar,
    /// `ps_contacts` is Asterisk's own table: what is in it is not ours to write or to remove.
    pub shared_table: bool,
    /// Policy on several devices.
    pub devices: DevicePolicy,
    /// Policy on untested contacts.
    pub non_qualified: NonQualifiedPolicy,
    /// R9: so many leases ending within one heartbeat, and a fifth of all, are our own fault.
    pub mass_loss: usize,
    /// R9: how long that is believed while most of them stay away; then they are lost.
    pub longest_suspicion: Duration,
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
            evict_after: Duration::from_secs(1),
            evict_again: Duration::from_secs(30),
            nudge_after: Duration::from_secs(1),
            first_lists: Duration::from_secs(2),
            logout_patience: Duration::from_secs(2),
            commit_timeout: Duration::from_secs(2),
            commit_retry: Duration::from_secs(1),
            evictions_per_second: 20,
            reregistrations_per_second: 50,
            qualifies_per_second: 100,
            drains_per_second: 50,
            drain_again: Duration::from_secs(10),
            observe_only: false,
            evict_unmanaged: false,
            flaps: 4,
            flap_window: Duration::from_secs(60),
            settle: Duration::from_secs(10),
            skew_limit: Duration::from_secs(2),
            claim_lives: Duration::from_secs(3600),
            handover: Duration::from_secs(10),
            proof_patience: Duration::from_secs(2),
            registrar: Registrar::default(),
            shared_table: false,
            devices: DevicePolicy::default(),
            non_qualified: NonQualifiedPolicy::default(),
            mass_loss: 5,
            longest_suspicion: Duration::from_secs(600),
        }
    }
}
