//! Many people from one CSV text (RFC 4180): all of them, or none and what is wrong by line.

use std::collections::HashMap;

use rollcall_wire::{
    http::Role,
    people::{Imported, LineError},
};
use serde::Deserialize;

use super::{Actor, NewPerson, Office, PersonError, check_person, role_word};
use crate::{config::Secret, db::Write};

/// People in one text.
const MOST: usize = 10_000;
/// Errors that are told of one text.
const TOLD: usize = 100;

/// A line as the text has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    username: String,
    password: String,
    #[serde(default)]
    extension: Option<String>,
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    sip_password: Option<String>,
}

impl Office {
    /// Adds everybody in `text`, or nobody where a line is wrong or this is a dry run.
    pub async fn import(
        &self,
        text: &str,
        dry_run: bool,
        by: &Actor,
    ) -> Result<Imported, PersonError> {
        let (people, mut errors) = read(text);
        self.refuse_taken(&people, &mut errors).await?;
        errors.sort_by_key(|error| error.line);
        errors.truncate(TOLD);
        let good = u32::try_from(people.len()).unwrap_or(u32::MAX);
        if dry_run || !errors.is_empty() || people.is_empty() {
            return Ok(Imported {
                good,
                added: 0,
                errors,
            });
        }
        let mut writes = Vec::with_capacity(people.len() + 1);
        for (_, person) in people {
            let note = by.did(
                "person_added",
                Some(&person.username),
                role_word(person.role),
            );
            let person = self.prepare(person).await?;
            writes.extend([Write::AddUser(person), Write::Audit(note)]);
        }
        self.commit(writes).await?;
        Ok(Imported {
            good,
            added: good,
            errors,
        })
    }

    /// Takes out who cannot be added beside those who are there.
    async fn refuse_taken(
        &self,
        people: &[(u64, NewPerson)],
        errors: &mut Vec<LineError>,
    ) -> Result<(), PersonError> {
        let mut names = HashMap::new();
        let mut extensions = HashMap::new();
        for person in self.list().await? {
            names.insert(person.username.to_ascii_lowercase(), None);
            if let Some(extension) = person.extension {
                extensions.insert(extension, None);
            }
        }
        for (line, person) in people {
            let name = person.username.to_ascii_lowercase();
            if let Some(other) = names.insert(name, Some(*line)) {
                errors.push(taken(*line, "username", other));
            }
            let Some(extension) = person.extension.clone() else {
                continue;
            };
            if let Some(other) = extensions.insert(extension, Some(*line)) {
                errors.push(taken(*line, "extension", other));
            }
        }
        Ok(())
    }
}

fn taken(line: u64, field: &str, other: Option<u64>) -> LineError {
    let message = match other {
        Some(other) => format!("The {field} is that of line {other} too."),
        None => format!("The {field} is taken already."),
    };
    wrong(line, Some(field), message)
}

/// The people of a text whose values can be, each with its line; and what is wrong with the others.
fn read(text: &str) -> (Vec<(u64, NewPerson)>, Vec<LineError>) {
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::Headers)
        .from_reader(text.as_bytes());
    let (mut people, mut errors) = (Vec::new(), Vec::new());
    let headers = match reader.headers() {
        Ok(headers) => headers.clone(),
        Err(error) => return (people, vec![wrong(1, None, words(&error))]),
    };
    for record in reader.records() {
        if errors.len() >= TOLD || people.len() >= MOST {
            let line = record.as_ref().map_or(0, line_of);
            let what = format!("The text has more than {MOST} people, or too many mistakes.");
            errors.push(wrong(line, None, what));
            break;
        }
        let read = record.and_then(|record| {
            let line = line_of(&record);
            record
                .deserialize::<Line>(Some(&headers))
                .map(|fields| (line, fields))
        });
        match read {
            Ok((line, fields)) => match fields.person() {
                Ok(person) => people.push((line, person)),
                Err((field, why)) => errors.push(wrong(line, Some(field), why)),
            },
            Err(error) => {
                let line = error.position().map_or(1, csv::Position::line);
                errors.push(wrong(line, None, words(&error)));
            }
        }
    }
    (people, errors)
}

impl Line {
    fn person(self) -> Result<NewPerson, (&'static str, String)> {
        let given = |value: Option<String>| value.filter(|value| !value.is_empty());
        let role = match given(self.role).as_deref() {
            None | Some("agent") => Role::Agent,
            Some("supervisor") => Role::Supervisor,
            Some("admin") => Role::Admin,
            Some(_) => {
                let why = "The role is none of agent, supervisor and admin.";
                return Err(("role", why.into()));
            }
        };
        let person = NewPerson {
            username: self.username,
            extension: given(self.extension),
            role,
            password: Secret::new(self.password),
            sip_password: given(self.sip_password).map(Secret::new),
        };
        match check_person(&person) {
            Ok(()) => Ok(person),
            Err(PersonError::Invalid { field, why }) => {
                let column = if field == "sip password" {
                    "sip_password"
                } else {
                    field
                };
                Err((column, format!("The {field} {why}.")))
            }
            Err(other) => Err(("username", other.to_string())),
        }
    }
}

fn line_of(record: &csv::StringRecord) -> u64 {
    record.position().map_or(0, csv::Position::line)
}

/// csv's words without a value of the line: a password may be among them.
fn words(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Utf8 { .. } => "The line is not UTF-8.".into(),
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => format!("The line has {len} fields; the first one names {expected_len}."),
        csv::ErrorKind::Deserialize { err, .. } => match err.kind() {
            csv::DeserializeErrorKind::Message(message) => format!("The columns: {message}."),
            _ => "The line cannot be read.".into(),
        },
        _ => "The line is no CSV.".into(),
    }
}

fn wrong(line: u64, field: Option<&str>, message: impl Into<String>) -> LineError {
    LineError {
        line,
        field: field.map(Into::into),
        message: message.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_judged_one_by_one_and_named_by_their_number() {
        let text = "username,password,extension,role,sip_password\n\
                    ann,long enough,1001,,sip-secret\n\
                    b b,long enough,,,\n\
                    cat,short,,,\n\
                    dan,long enough,1002,,\n\
                    eve,long enough,,boss,\n\
                    \"fay\",\"with, \"\"comma\"\"\",,admin,\n\
                    gil,long enough\n";
        let (people, errors) = read(text);
        let names: Vec<_> = people
            .iter()
            .map(|(line, person)| (*line, person.username.as_str(), person.role))
            .collect();
        assert_eq!(names, [(2, "ann", Role::Agent), (7, "fay", Role::Admin)]);
        assert_eq!(people[1].1.password.expose(), "with, \"comma\"");
        let at: Vec<_> = errors
            .iter()
            .map(|error| (error.line, error.field.as_deref()))
            .collect();
        assert_eq!(
            at,
            [
                (3, Some("username")),
                (4, Some("password")),
                (5, Some("sip_password")),
                (6, Some("role")),
                (8, None)
            ]
        );
        let said = format!("{errors:?}");
        assert!(
            !said.contains("long enough") && !said.contains("short,"),
            "{said}"
        );
    }

    #[test]
    fn a_column_that_is_missing_or_unknown_is_named() {
        let (people, errors) = read("username,extension\nann,1001\n");
        assert!(people.is_empty());
        assert!(errors[0].message.contains("password"), "{errors:?}");
        let (people, errors) = read("username,password,phone\nann,long enough,1\n");
        assert!(people.is_empty());
        assert!(errors[0].message.contains("phone"), "{errors:?}");
        assert_eq!(read("").1.len(), 0);
    }
}
