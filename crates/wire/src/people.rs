//! People, as an administrator keeps them.

use serde::{Deserialize, Serialize};

use crate::http::Role;

/// `GET`: everybody ([`People`]); `POST`: one more ([`AddPerson`]). Administrators only.
pub const PEOPLE: &str = "/api/people";
/// `PATCH`: another role, or disabled ([`ChangePerson`]); `DELETE`: somebody who is disabled.
/// Administrators only.
pub const PERSON: &str = "/api/people/{username}";
/// `POST`: a new password for somebody ([`ResetPassword`]). Administrators only.
pub const PERSON_PASSWORD: &str = "/api/people/{username}/password";
/// `POST`: many people from CSV, or what would come of it ([`ImportPeople`]). Administrators only.
pub const PEOPLE_IMPORT: &str = "/api/people-import";
/// `POST`: a new password of one's own ([`ChangePassword`]).
pub const OWN_PASSWORD: &str = "/api/users/password";
/// `GET`: the latest privileged acts ([`Audit`]). Administrators only.
pub const AUDIT: &str = "/api/audit";

/// The answer to `GET` [`PEOPLE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct People {
    /// By name.
    pub people: Vec<Person>,
}

/// Somebody, with nothing secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Person {
    /// The name to sign in with.
    pub username: String,
    /// The extension; absent for people without a phone.
    pub extension: Option<String>,
    /// What they may do.
    pub role: Role,
    /// Whether they may not sign in.
    pub disabled: bool,
    /// When they came in, ms since the epoch.
    pub created_at: u64,
}

/// The body of `POST` [`PEOPLE`].
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddPerson {
    /// The name to sign in with.
    pub username: String,
    /// The extension; none for people without a phone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<String>,
    /// What they may do.
    pub role: Role,
    /// The password to sign in with.
    pub password: String,
    /// The password their phones register with; wanted with an extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sip_password: Option<String>,
}

/// The body of `PATCH` [`PERSON`]; what is left out stays. Their sessions end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangePerson {
    /// What they may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Whether they may not sign in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
}

/// The body of `POST` [`PERSON_PASSWORD`]; their sessions end.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResetPassword {
    /// The new password to sign in with; without it the old one stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// The new password their phones register with; without it the old one stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sip_password: Option<String>,
}

/// The body of `POST` [`OWN_PASSWORD`]; the sessions on other devices end.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangePassword {
    /// The password as it is.
    pub password: String,
    /// The password as it shall be.
    pub new_password: String,
}

/// The body of `POST` [`PEOPLE_IMPORT`].
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImportPeople {
    /// RFC 4180 text; the first line names the columns: `username`, `password`, and as wanted
    /// `extension`, `role`, `sip_password`.
    pub csv: String,
    /// Whether nothing is to be changed.
    #[serde(default)]
    pub dry_run: bool,
}

/// The answer to `POST` [`PEOPLE_IMPORT`]. With errors nobody is added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Imported {
    /// People in the text that could be added.
    pub good: u32,
    /// People that were added: all, or none.
    pub added: u32,
    /// What is wrong, by line.
    pub errors: Vec<LineError>,
}

/// What is wrong with one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LineError {
    /// The line in the text; the first is 1.
    pub line: u64,
    /// The column it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What is wrong, for a person.
    pub message: String,
}

/// The answer to a change that has nothing else to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Done {
    /// Always true; failures are errors.
    pub success: bool,
}

/// The answer to `GET` [`AUDIT`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Audit {
    /// The latest first.
    pub acts: Vec<Act>,
}

/// One privileged act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Act {
    /// When, ms since the epoch.
    pub at: u64,
    /// Who: a user's name, or `(command line)`.
    pub actor: String,
    /// From which address; absent for the command line.
    pub address: Option<String>,
    /// What was done: `person_added`, `person_disabled` and the like.
    pub action: String,
    /// To whom.
    pub target: Option<String>,
    /// What else there is to know.
    pub detail: String,
}

crate::http::redacted!(
    AddPerson {
        username,
        extension,
        role
    },
    ResetPassword {},
    ChangePassword {},
    ImportPeople { dry_run },
);
