//! The doctor: what of Asterisk's set-up keeps the product from proving what it says, each finding
//! with its fix.
//!
//! Asks over AMI and ARI and changes nothing. Refuses to guess: what it may not ask is a finding too.

use std::{collections::BTreeMap, fmt, time::Duration};

use rollcall_ami::{
    Action, ActionError, Client, ClientEvent, Event, EventKind, Listing, Packet, Response, account,
};
use serde::Serialize;
use tokio::sync::mpsc::Receiver;

use crate::{
    Config,
    asterisk::{client_config, lists},
    clock,
    config::{Devices, Mode},
    db::{self, Doubts},
};

/// How long Asterisk may take to let us in.
const LINK: Duration = Duration::from_secs(5);
/// From this on a clock is said to be off, ms.
const SKEW_MS: i64 = 2_000;
/// What is asked only where something is to be mended, and is not tried.
const REPAIRS: [&str; 5] = [
    "PJSIPQualify",
    "QueuePause",
    "DBPut",
    "Hangup",
    "PJSIPSetMaintenance",
];

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Good,
    /// It works, and says less than it could, or will fail some day.
    Warning,
    /// The board would be Unknown or wrong.
    Problem,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A stable word for what was looked at.
    pub check: &'static str,
    /// How it stands.
    pub level: Level,
    /// What was found.
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Finding {
    fn good(check: &'static str, found: impl Into<String>) -> Self {
        Self {
            check,
            level: Level::Good,
            found: found.into(),
            fix: None,
        }
    }

    fn bad(
        check: &'static str,
        level: Level,
        found: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            check,
            level,
            found: found.into(),
            fix: Some(fix.into()),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.level {
            Level::Good => "good",
            Level::Warning => "WARNING",
            Level::Problem => "PROBLEM",
        };
        write!(f, "{word:8} {}: {}", self.check, self.found)?;
        if let Some(fix) = &self.fix {
            write!(f, "\n         fix: {fix}")?;
        }
        Ok(())
    }
}

/// Looks at everything that this configuration reaches.
pub async fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    if config.mode == Mode::Claims {
        findings.push(Finding::bad(
            "mode",
            Level::Warning,
            "mode is \"claims\": nobody is asked, and everybody is Unverified",
            "set mode = \"mirror\" and add [ami]",
        ));
        return findings;
    }
    let Some(ami) = &config.ami else {
        findings.push(Finding::bad(
            "ami",
            Level::Problem,
            "there is no [ami]: every agent is Unknown",
            "add [ami] with host, username and secret_file (docs/operations.md)",
        ));
        return findings;
    };
    let started = match client_config(ami) {
        Ok(client) => Client::start(client),
        Err(error) => {
            let fix = "put the manager's secret where secret_file or secret_env says";
            findings.push(Finding::bad("ami", Level::Problem, error.to_string(), fix));
            return findings;
        }
    };
    let (client, mut events) = started;
    match linked(&mut events).await {
        Ok(()) => findings.push(Finding::good("ami", "the manager interface lets us in")),
        Err(why) => {
            findings.push(Finding::bad(
                "ami",
                Level::Problem,
                format!("no link: {why}"),
                "check [ami] against manager.conf: enabled, bindaddr, port, the user's secret, permit and deny",
            ));
            return findings;
        }
    }
    let patient = Patient { client, config };
    patient.examine(&mut findings).await;
    patient.client.shutdown().await;
    findings
}

async fn linked(events: &mut Receiver<ClientEvent>) -> Result<(), String> {
    match tokio::time::timeout(LINK, events.recv()).await {
        Ok(Some(ClientEvent::Connected)) => Ok(()),
        Ok(Some(ClientEvent::Lost { reason, .. })) => Err(reason.to_string()),
        Ok(Some(ClientEvent::Event(_)) | None) => Err("the link ended".to_owned()),
        Err(_) => Err(format!("no answer within {} s", LINK.as_secs())),
    }
}

struct Patient<'a> {
    client: Client,
    config: &'a Config,
}

impl Patient<'_> {
    async fn examine(&self, findings: &mut Vec<Finding>) {
        self.settings(findings).await;
        self.clock(findings).await;
        self.permissions(findings).await;
        self.aors(findings).await;
        self.storage(findings).await;
        if self.config.mode == Mode::Shared {
            findings.extend(match db::doubts(self.config).await {
                Ok(doubts) => judge_table(&doubts),
                Err(error) => vec![Finding::bad(
                    "database",
                    Level::Problem,
                    error.to_string(),
                    "check [database] of the configuration, and that the database runs",
                )],
            });
        }
        findings.push(match &self.config.ari {
            Some(ari) => crate::asterisk::ari_finding(ari).await,
            None => Finding::bad(
                "ari",
                Level::Warning,
                "there is no [ari]: an evicted contact goes only at Asterisk's next check (30 s)",
                "add [ari], or set contact_expiration_check_interval=5 in pjsip.conf's global section",
            ),
        });
    }

    async fn settings(&self, findings: &mut Vec<Finding>) {
        match self.ask(Action::core_settings()).await {
            Ok(settings) => {
                let get = |key| settings.packet.get(key).unwrap_or_default();
                findings.extend(version(get("AsteriskVersion")));
                let name = get("SystemName");
                findings.push(if name.is_empty() {
                    Finding::bad(
                        "systemname",
                        Level::Warning,
                        "Asterisk has no systemname: contacts of several Asterisks cannot be told apart",
                        "set systemname in asterisk.conf, another one on each Asterisk",
                    )
                } else {
                    Finding::good("systemname", format!("this Asterisk is {name:?}"))
                });
            }
            Err(error) => findings.push(refused("CoreSettings", &error)),
        }
    }

    async fn clock(&self, findings: &mut Vec<Finding>) {
        let before = clock::now_ms();
        let Ok(pong) = self.ask(Action::ping()).await else {
            return;
        };
        let after = clock::now_ms();
        let theirs = pong
            .packet
            .get("Timestamp")
            .and_then(|text| text.parse().ok());
        let Some(theirs) = theirs else {
            return;
        };
        let offset = lists::offset(theirs, before, after);
        findings.push(if offset.abs() > SKEW_MS {
            Finding::bad(
                "clock",
                Level::Problem,
                format!("Asterisk's clock is {offset} ms ahead of ours: contacts expire by it"),
                "run an NTP client on both machines",
            )
        } else {
            Finding::good("clock", format!("Asterisk's clock differs by {offset} ms"))
        });
    }

    async fn permissions(&self, findings: &mut Vec<Finding>) {
        let lists = [
            Action::show_contacts(),
            Action::device_state_list(),
            Action::show_channels(),
            Action::queue_status(),
        ];
        let mut all = true;
        for action in lists {
            let name = action.name().to_owned();
            if let Err(error) = self.list(action).await {
                all = false;
                findings.push(refused(&name, &error));
            }
        }
        if all {
            findings.push(Finding::good(
                "permissions",
                "contacts, devices, channels and queues may be read",
            ));
        }
        match self.named("ListCommands").await {
            Ok(allowed) => {
                for name in REPAIRS {
                    if allowed.packet.get(name).is_none() {
                        findings.push(Finding::bad(
                            "permissions",
                            Level::Warning,
                            format!("the manager user may not do {name}, or this Asterisk does not know it: that repair is not made"),
                            format!("add {} to write= of the user in manager.conf", class(name)),
                        ));
                    }
                }
            }
            Err(error) => findings.push(refused("ListCommands", &error)),
        }
    }

    async fn aors(&self, findings: &mut Vec<Finding>) {
        let Ok(action) = Action::new("PJSIPShowAors") else {
            return;
        };
        match self.list(action).await {
            Ok(items) => {
                let mut aors: Vec<&Packet> = Vec::new();
                for item in &items {
                    if let EventKind::Other(packet) = &item.kind {
                        aors.push(packet);
                    }
                }
                findings.extend(judge_aors(&aors, self.config.alignment.devices));
            }
            Err(error) => findings.push(refused("PJSIPShowAors", &error)),
        }
    }

    async fn storage(&self, findings: &mut Vec<Finding>) {
        let sorcery = self.file("sorcery.conf").await;
        let drivers = self.file("extconfig.conf").await;
        match (sorcery, drivers) {
            (Ok(sorcery), Ok(drivers)) => {
                findings.extend(judge_storage(&sorcery, &drivers, self.config.mode));
            }
            (Err(error), _) | (_, Err(error)) => {
                findings.push(refused("GetConfig", &error));
            }
        }
    }

    /// A file of Asterisk's configuration: the lines of each of its sections. One that is not there
    /// is an empty one.
    async fn file(&self, name: &str) -> Result<Sections, ActionError> {
        let action = Action::new("GetConfig")?.with("Filename", name)?;
        match self.client.action(action).await {
            Ok(response) => Ok(sections(&response.packet)),
            Err(ActionError::Refused { message }) if message.contains("not found") => {
                Ok(Sections::new())
            }
            Err(error) => Err(error),
        }
    }

    async fn named(&self, name: &str) -> Result<Response, ActionError> {
        self.client.action(Action::new(name)?).await
    }

    async fn ask(&self, action: Action) -> Result<Response, ActionError> {
        self.client.action(action).await
    }

    async fn list(&self, action: Action) -> Result<Vec<Event>, ActionError> {
        match self.client.list(action).await? {
            Listing::Items(items) => Ok(items),
            Listing::NoneFound { .. } => Ok(Vec::new()),
        }
    }
}

/// The class to give the manager user for an action.
fn class(action: &str) -> &'static str {
    account::class_of(action).unwrap_or("any class")
}

fn refused(action: &str, error: &ActionError) -> Finding {
    Finding::bad(
        "permissions",
        Level::Problem,
        format!("{action} is refused: {error}"),
        format!(
            "add {} to read= and write= of the user in manager.conf, and reload manager",
            class(action)
        ),
    )
}

/// The lines `key=value` of each section.
type Sections = BTreeMap<String, Vec<(String, String)>>;

/// `GetConfig` answers `Category-000000: name` and `Line-000000-000000: key=value`.
fn sections(packet: &Packet) -> Sections {
    let mut names: BTreeMap<&str, &str> = BTreeMap::new();
    let mut sections = Sections::new();
    for (key, value) in packet.fields() {
        if let Some(number) = key.strip_prefix("Category-") {
            names.insert(number, value);
            sections.entry(value.to_owned()).or_default();
        } else if let Some(place) = key.strip_prefix("Line-")
            && let Some((number, _)) = place.split_once('-')
            && let Some(name) = names.get(number)
            && let Some((key, value)) = value.split_once('=')
        {
            let value = value.trim().trim_start_matches('>').trim();
            let line = (key.trim().to_owned(), value.to_owned());
            sections.entry((*name).to_owned()).or_default().push(line);
        }
    }
    sections
}

/// F10 and F12 came with versions.
fn version(words: &str) -> Vec<Finding> {
    let mut numbers = words
        .split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|number| number.parse::<u32>().ok());
    let (Some(major), minor) = (numbers.next(), numbers.next().unwrap_or_default()) else {
        return vec![Finding::bad(
            "version",
            Level::Warning,
            format!("Asterisk calls itself {words:?}"),
            "use Asterisk 22",
        )];
    };
    let strict = match major {
        ..20 => false,
        20 => minor >= 12,
        21 => minor >= 7,
        22 => minor >= 2,
        _ => true,
    };
    let mut findings = vec![Finding::good("version", format!("Asterisk {words}"))];
    if !strict {
        findings.push(Finding::bad(
            "version",
            Level::Warning,
            "any answer to OPTIONS counts as Reachable: this Asterisk knows no qualify_2xx_only",
            "update to 20.12, 21.7, 22.2 or later",
        ));
    }
    findings
}

fn judge_aors(aors: &[&Packet], devices: Devices) -> Vec<Finding> {
    let mut wrong: BTreeMap<&'static str, Vec<&str>> = BTreeMap::new();
    for aor in aors {
        let name = aor.get("ObjectName").unwrap_or_default();
        let number = |key| {
            aor.get(key)
                .and_then(|text| text.parse::<u32>().ok())
                .unwrap_or_default()
        };
        let is = |key| matches!(aor.get(key), Some("true" | "yes" | "1"));
        let mut note = |what| wrong.entry(what).or_default().push(name);
        if number("QualifyFrequency") == 0 {
            note("qualify");
        } else if !is("Qualify2xxOnly") {
            note("qualify_2xx_only");
        }
        match devices {
            Devices::Multi if number("MaxContacts") < 2 => note("max_contacts"),
            Devices::Single | Devices::Takeover
                if number("MaxContacts") < 2 && !is("RemoveExisting") =>
            {
                note("remove_existing");
            }
            _ => {}
        }
        if number("MinimumExpiration") > 300 {
            note("minimum_expiration");
        }
    }
    if aors.is_empty() {
        return vec![Finding::bad(
            "aors",
            Level::Problem,
            "PJSIP has no AOR at all",
            "provision an endpoint, an AOR and an auth for each extension",
        )];
    }
    let mut findings: Vec<Finding> = wrong
        .into_iter()
        .map(|(what, names)| aor_finding(what, &names))
        .collect();
    if findings.is_empty() {
        findings.push(Finding::good(
            "aors",
            format!("{} AORs are as they should be", aors.len()),
        ));
    }
    findings
}

fn aor_finding(what: &'static str, names: &[&str]) -> Finding {
    let who = match names {
        few if few.len() <= 5 => few.join(", "),
        many => format!("{}, ... ({} in all)", many[..5].join(", "), many.len()),
    };
    let (level, found, fix) = match what {
        "qualify" => (
            Level::Problem,
            "qualify_frequency is 0: whether the phone answers is never tested, and queues ring it all the same",
            "qualify_frequency=10 and qualify_timeout=3 on the AOR",
        ),
        "qualify_2xx_only" => (
            Level::Warning,
            "any answer to OPTIONS counts as Reachable, a 480 of an app without a microphone too",
            "qualify_2xx_only=yes on the AOR",
        ),
        "max_contacts" => (
            Level::Problem,
            "max_contacts is below 2, and devices = \"multi\": a second device, or a restarted app, is refused",
            "max_contacts=5 on the AOR, or another alignment.devices",
        ),
        "remove_existing" => (
            Level::Problem,
            "max_contacts is below 2 and remove_existing=no: a restarted app cannot register until its old contact expires",
            "remove_existing=yes on the AOR",
        ),
        _ => (
            Level::Warning,
            "minimum_expiration is above 300 s: a lost phone stays registered that long",
            "minimum_expiration=60 on the AOR",
        ),
    };
    Finding::bad(what, level, format!("{who}: {found}"), fix)
}

fn judge_storage(sorcery: &Sections, drivers: &Sections, mode: Mode) -> Vec<Finding> {
    let lines = sorcery.get("res_pjsip").map_or(&[][..], Vec::as_slice);
    let mapping = lines
        .iter()
        .find(|(key, _)| key == "contact")
        .map(|(_, value)| value);
    let cached = lines
        .iter()
        .any(|(key, value)| key.starts_with("contact/") && value.contains("memory_cache"));
    let mut findings = Vec::new();
    let table = mapping.filter(|value| value.starts_with("realtime"));
    findings.push(match (mode, table) {
        (Mode::Shared, Some(value)) => Finding::good("sorcery", format!("contacts are {value}")),
        (Mode::Shared, None) => Finding::bad(
            "sorcery",
            Level::Problem,
            "mode is \"shared\", and sorcery.conf does not map contacts to the database",
            "contact=realtime,ps_contacts under [res_pjsip] in sorcery.conf, then restart Asterisk; or mode = \"mirror\"",
        ),
        (_, Some(value)) => Finding::bad(
            "sorcery",
            Level::Problem,
            format!("mode is \"mirror\", and sorcery.conf keeps contacts elsewhere: {value}"),
            "set mode = \"shared\", or remove the contact= line under [res_pjsip] in sorcery.conf",
        ),
        (_, None) => Finding::good("sorcery", "contacts are in Asterisk's astdb"),
    });
    if cached {
        findings.push(Finding::bad(
            "memory_cache",
            Level::Problem,
            "a memory cache lies over contacts: changes from outside are hidden",
            "remove contact/cache=memory_cache from sorcery.conf",
        ));
    }
    // The name that extconfig.conf maps to a driver stands behind the comma.
    let family = table
        .and_then(|value| value.split(',').nth(1))
        .map_or("ps_contacts", str::trim);
    let driver = drivers
        .get("settings")
        .and_then(|lines| lines.iter().find(|(key, _)| key == family))
        .map(|(_, value)| value.as_str());
    match driver {
        Some(value) if value.starts_with("sqlite3") => findings.push(Finding::bad(
            "driver",
            Level::Problem,
            "res_config_sqlite3 never deletes a row: contacts that ended stay in the table",
            format!("map {family} to odbc (with libsqliteodbc) in extconfig.conf"),
        )),
        Some(value) => findings.push(Finding::good("driver", format!("{family} is {value}"))),
        None if mode == Mode::Shared => findings.push(Finding::bad(
            "driver",
            Level::Problem,
            format!("extconfig.conf maps {family} to no driver"),
            format!("{family} => odbc,asterisk,ps_contacts under [settings] in extconfig.conf"),
        )),
        None => {}
    }
    findings
}

/// The table that Asterisk and we share.
fn judge_table(doubts: &Doubts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if doubts.no_table {
        findings.push(Finding::bad(
            "schema",
            Level::Problem,
            "the database has no table ps_contacts",
            "run rollcall-server migrate, or Asterisk's own migrations (contrib/ast-db-manage)",
        ));
    }
    if !doubts.missing.is_empty() {
        findings.push(Finding::bad(
            "schema",
            Level::Problem,
            format!("ps_contacts lacks {}", doubts.missing.join(", ")),
            "bring the table up to Asterisk 22's migrations (contrib/ast-db-manage), then run rollcall-server migrate",
        ));
    }
    if !doubts.in_the_way.is_empty() {
        let names = doubts.in_the_way.join(", ");
        findings.push(Finding::bad(
            "columns",
            Level::Problem,
            format!("Asterisk does not know {names}, which has no default: it answers REGISTER and writes no row"),
            format!("give {names} a default, or let it be NULL"),
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::good(
            "schema",
            "ps_contacts has the columns that both sides need",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aor(fields: &[(&str, &str)]) -> Packet {
        let usual = [
            ("ObjectName", "1001"),
            ("QualifyFrequency", "10"),
            ("Qualify2xxOnly", "true"),
            ("MaxContacts", "5"),
            ("RemoveExisting", "false"),
            ("MinimumExpiration", "60"),
        ];
        usual
            .iter()
            .fold(Packet::event("AorList"), |packet, (key, value)| {
                let changed = fields.iter().find(|(name, _)| name == key);
                packet.with(key, changed.map_or(value, |(_, value)| value))
            })
    }

    fn checks(findings: &[Finding]) -> Vec<(&str, Level)> {
        findings
            .iter()
            .map(|finding| (finding.check, finding.level))
            .collect()
    }

    fn judged(fields: &[(&str, &str)], devices: Devices) -> Vec<(&'static str, Level)> {
        let findings = judge_aors(&[&aor(fields)], devices);
        for finding in &findings {
            assert_eq!(
                finding.fix.is_none(),
                finding.level == Level::Good,
                "{finding}"
            );
        }
        findings
            .iter()
            .map(|finding| (finding.check, finding.level))
            .collect()
    }

    #[test]
    fn aors_are_judged_by_qualify_and_by_the_policy_for_devices() {
        assert_eq!(judged(&[], Devices::Multi), [("aors", Level::Good)]);
        let untested = [("QualifyFrequency", "0")];
        assert_eq!(
            judged(&untested, Devices::Multi),
            [("qualify", Level::Problem)]
        );
        let lax = [("Qualify2xxOnly", "false")];
        assert_eq!(
            judged(&lax, Devices::Multi),
            [("qualify_2xx_only", Level::Warning)]
        );
        let one = [("MaxContacts", "1")];
        assert_eq!(
            judged(&one, Devices::Multi),
            [("max_contacts", Level::Problem)]
        );
        assert_eq!(
            judged(&one, Devices::Single),
            [("remove_existing", Level::Problem)]
        );
        let replaced = [("MaxContacts", "1"), ("RemoveExisting", "true")];
        assert_eq!(
            judged(&replaced, Devices::Takeover),
            [("aors", Level::Good)]
        );
        let long = [("MinimumExpiration", "3600")];
        assert_eq!(
            judged(&long, Devices::Multi),
            [("minimum_expiration", Level::Warning)]
        );
        assert_eq!(
            checks(&judge_aors(&[], Devices::Multi)),
            [("aors", Level::Problem)]
        );
    }

    fn file(section: &str, lines: &[&str]) -> Sections {
        let packet = Packet::event("GetConfig").with("Category-000000", section);
        let packet = lines
            .iter()
            .enumerate()
            .fold(packet, |packet, (place, line)| {
                packet.with(&format!("Line-000000-{place:06}"), line)
            });
        sections(&packet)
    }

    #[test]
    fn where_contacts_live_is_judged_by_the_mode() {
        let none = Sections::new();
        let table = file(
            "res_pjsip",
            &["endpoint=config,pjsip.conf", "contact=realtime,ps_contacts"],
        );
        let odbc = file("settings", &["ps_contacts=odbc,asterisk"]);
        let broken = file("settings", &["ps_contacts=>sqlite3,asterisk"]);
        let cached = file(
            "res_pjsip",
            &["contact/cache=memory_cache", "contact=realtime,ps_contacts"],
        );
        let judged = |sorcery: &Sections, drivers: &Sections, mode| -> Vec<(&'static str, Level)> {
            let findings = judge_storage(sorcery, drivers, mode);
            findings
                .iter()
                .map(|finding| (finding.check, finding.level))
                .collect()
        };
        assert_eq!(
            judged(&none, &none, Mode::Mirror),
            [("sorcery", Level::Good)]
        );
        assert_eq!(
            judged(&table, &odbc, Mode::Shared),
            [("sorcery", Level::Good), ("driver", Level::Good)]
        );
        assert_eq!(
            judged(&table, &odbc, Mode::Mirror)[0],
            ("sorcery", Level::Problem)
        );
        assert_eq!(
            judged(&none, &none, Mode::Shared),
            [("sorcery", Level::Problem), ("driver", Level::Problem)]
        );
        assert_eq!(
            judged(&cached, &broken, Mode::Shared),
            [
                ("sorcery", Level::Good),
                ("memory_cache", Level::Problem),
                ("driver", Level::Problem)
            ]
        );
    }

    #[test]
    fn a_table_that_asterisk_cannot_write_is_named_with_its_columns() {
        let judged = |doubts: &Doubts| -> Vec<(&'static str, Level)> {
            let findings = judge_table(doubts);
            findings
                .iter()
                .map(|finding| (finding.check, finding.level))
                .collect()
        };
        assert_eq!(judged(&Doubts::default()), [("schema", Level::Good)]);
        let strange = Doubts {
            missing: vec!["via_addr".to_owned()],
            in_the_way: vec!["site".to_owned()],
            ..Doubts::default()
        };
        assert_eq!(
            judged(&strange),
            [("schema", Level::Problem), ("columns", Level::Problem)]
        );
        let none = Doubts {
            no_table: true,
            ..Doubts::default()
        };
        assert_eq!(judged(&none), [("schema", Level::Problem)]);
    }

    #[test]
    fn versions_that_take_any_answer_for_an_answer_are_named() {
        for (words, findings) in [
            ("22.10.1~dfsg-1", 1),
            ("22.1.0", 2),
            ("20.12.0", 1),
            ("18.9-cert", 2),
            ("GIT-master", 1),
        ] {
            assert_eq!(version(words).len(), findings, "{words}");
        }
    }
}
