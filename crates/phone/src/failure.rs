//! Why we are not registered, for programs and for people.

use rollcall_sip::Failure;

/// Stable codes of a failed registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureCode {
    /// The registrar's name does not resolve to an address.
    RegistrarNotFound,
    /// Nothing answers at the registrar's address.
    RegistrarUnreachable,
    /// The user name or password is wrong.
    WrongCredentials,
    /// The registrar does not know the extension, or forbids it.
    RegistrarRefused,
    /// The registrar said 200 but does not hold our contact.
    ContactMissing,
    /// The registrar's challenge cannot be answered.
    UnusableChallenge,
    /// This computer has no network, or the socket failed.
    NoNetwork,
}

impl FailureCode {
    /// Stable code.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RegistrarNotFound => "registrar_not_found",
            Self::RegistrarUnreachable => "registrar_unreachable",
            Self::WrongCredentials => "wrong_credentials",
            Self::RegistrarRefused => "registrar_refused",
            Self::ContactMissing => "contact_missing",
            Self::UnusableChallenge => "unusable_challenge",
            Self::NoNetwork => "no_network",
        }
    }

    /// For a person: what to do next.
    pub fn next_step(self) -> &'static str {
        match self {
            Self::RegistrarNotFound => {
                "Check the spelling of the telephone server's name and this computer's network."
            }
            Self::RegistrarUnreachable => {
                "Check that the telephone server runs and that no firewall blocks the way to its port."
            }
            Self::WrongCredentials => {
                "Sign in again; if it persists, ask your administrator to reset the SIP password."
            }
            Self::RegistrarRefused => {
                "Ask your administrator whether this extension exists and may register."
            }
            Self::ContactMissing => {
                "Ask your administrator to look at the telephone server's contact storage; it accepts but does not store."
            }
            Self::UnusableChallenge => {
                "Ask your administrator to allow MD5 or SHA-256 digest with qop auth."
            }
            Self::NoNetwork => "Check this computer's network connection.",
        }
    }
}

impl From<&Failure> for FailureCode {
    fn from(failure: &Failure) -> Self {
        match failure {
            Failure::TimedOut | Failure::Unreachable => Self::RegistrarUnreachable,
            Failure::WrongCredentials => Self::WrongCredentials,
            Failure::UnusableChallenge(_) => Self::UnusableChallenge,
            Failure::Refused { .. } => Self::RegistrarRefused,
            Failure::ContactMissing => Self::ContactMissing,
        }
    }
}
