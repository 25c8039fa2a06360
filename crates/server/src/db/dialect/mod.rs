//! The seam between our statements and the three databases that carry them out.
//!
//! A statement is written once, in the SQL that all three share, with numbered values (`?1`), and
//! goes out through [`query`]. What they do not share is asked of the [`Dialect`]: how an upsert is
//! said, how two values are compared when either may be NULL, how the catalogue is read. Owns
//! opening and connecting; refuses to know any table of ours but by the name it is given.
//!
//! Of types there are four, the same everywhere: 64-bit integers, text, bytes and booleans. Times
//! are integers (ms since the epoch), so that no database's clock, zone or precision comes in.

mod mariadb;
mod postgres;
mod query;
mod sqlite;

use std::fmt::Debug;

use sqlx::{
    Connection as _, MySqlConnection, MySqlPool, PgConnection, PgPool, SqliteConnection,
    SqlitePool, error::DatabaseError, mysql::MySqlConnectOptions, postgres::PgConnectOptions,
    sqlite::SqliteConnectOptions,
};

pub(super) use query::{Row, Value, query};

use super::DbError;
use crate::config::Config;

/// Connections that read.
const READERS: u32 = 4;
/// How long a read waits for a connection.
const ACQUIRE: std::time::Duration = std::time::Duration::from_secs(5);

/// What the databases say differently.
pub(super) trait Dialect: Debug + Send + Sync {
    /// Its name in words.
    fn name(&self) -> &'static str;

    /// The migration that is its own.
    fn migration<'m>(&self, texts: &'m Texts) -> &'m str;

    /// Whether it is at the other end of a connection, which may break.
    fn is_remote(&self) -> bool {
        true
    }

    /// Asks for one text: what about its settings could lose an answered commit; empty if nothing.
    fn durability(&self) -> Option<&'static str> {
        None
    }

    /// Our `?1`, `?2` in its own form.
    fn spell(&self, text: &str) -> Spelled;

    /// Begins a transaction that is going to write.
    fn begin(&self) -> &'static str {
        "BEGIN"
    }

    /// Begins a transaction whose reads all see the same moment.
    fn begin_snapshot(&self) -> &'static str;

    /// After rows came in with ids of their own: the next `id` of `table` is above them all.
    fn renumber(&self, _table: &str) -> Option<String> {
        None
    }

    /// True where the two differ, NULL being a value like any other.
    fn differ(&self, one: &str, other: &str) -> String {
        format!("{one} IS DISTINCT FROM {other}")
    }

    /// True where a column of names holds this one, whatever its case.
    fn same_name(&self, column: &str, value: &str) -> String {
        format!("{column} = {value}")
    }

    /// Inserts a row, or changes the one that has its key; a row that is so already is not written.
    fn upsert(&self, upsert: &Upsert<'_>) -> String {
        upsert.on_conflict(|one, other| self.differ(one, other))
    }

    /// Reads the names of a table's columns (`?1`: the table) and their types, in their order;
    /// nothing where there is no such table.
    fn columns(&self) -> &'static str;

    /// Reads the names of a table's columns (`?1`: the table) that an INSERT has to name: neither NULL
    /// nor a default stands in for them.
    fn demanding_columns(&self) -> &'static str;

    /// Whether DDL is part of a transaction. Where it is not, a migration is recorded as begun, and
    /// what a cut one had made already is no error when it runs again.
    fn ddl_in_transactions(&self) -> bool {
        true
    }

    /// That what a statement would make is there already.
    fn made_already(&self, _error: &dyn DatabaseError) -> bool {
        false
    }

    /// Takes (answering 1) and gives back the right to migrate, among several servers that start
    /// together; none where beginning a transaction is enough.
    fn migration_lock(&self) -> Option<(&'static str, &'static str)> {
        None
    }

    /// That the whole transaction was undone for another's sake and may simply be tried again.
    fn was_sacrificed(&self, _error: &dyn DatabaseError) -> bool {
        false
    }

    /// The column of a unique key that was violated.
    fn unique_column(&self, error: &dyn DatabaseError) -> String;

    /// `ps_contacts` as Asterisk 22's own migrations make it on this database.
    fn contacts_table(&self) -> &'static str;
}

/// One migration, as each of them is told it.
#[derive(Debug)]
pub(super) struct Texts {
    pub(super) sqlite: &'static str,
    pub(super) postgres: &'static str,
    pub(super) mariadb: &'static str,
}

/// A statement in one database's own form.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Spelled {
    /// The text.
    pub(super) text: String,
    /// Which of the given values (from 0) go to its places, in order.
    pub(super) values: Vec<usize>,
}

/// An insert that changes the row of the same key instead, if there is one.
#[derive(Debug)]
pub(super) struct Upsert<'a> {
    /// The table.
    pub(super) table: &'a str,
    /// The columns that are inserted; the first is the key.
    pub(super) columns: &'a [&'a str],
    /// `VALUES (...)` or a `SELECT` with a `WHERE`.
    pub(super) source: &'a str,
    /// Those of the columns that are changed in a row that is there.
    pub(super) changed: &'a [&'a str],
    /// A condition on the row that is there, its columns with the table's name; none for any.
    pub(super) only_if: Option<&'a str>,
}

impl Upsert<'_> {
    fn insert(&self) -> String {
        let columns = self.columns.join(", ");
        format!("INSERT INTO {} ({columns}) {}", self.table, self.source)
    }

    fn on_conflict(&self, differ: impl Fn(&str, &str) -> String) -> String {
        let table = self.table;
        let key = self.columns.first().copied().unwrap_or_default();
        let set: Vec<String> = (self.changed.iter())
            .map(|column| format!("{column} = excluded.{column}"))
            .collect();
        let news: Vec<String> = (self.changed.iter())
            .map(|column| differ(&format!("{table}.{column}"), &format!("excluded.{column}")))
            .collect();
        let only_if = self.only_if.unwrap_or("1 = 1");
        format!(
            "{} ON CONFLICT ({key}) DO UPDATE SET {} WHERE {only_if} AND ({})",
            self.insert(),
            set.join(", "),
            news.join(" OR ")
        )
    }

    fn on_duplicate_key(&self) -> String {
        let set: Vec<String> = (self.changed.iter())
            .map(|column| match self.only_if {
                None => format!("{column} = VALUES({column})"),
                Some(condition) => {
                    let now = format!("{}.{column}", self.table);
                    format!("{column} = IF({condition}, VALUES({column}), {now})")
                }
            })
            .collect();
        format!(
            "{} ON DUPLICATE KEY UPDATE {}",
            self.insert(),
            set.join(", ")
        )
    }
}

/// Where the database of a configuration is, and how it is reached.
#[derive(Clone)]
pub(super) enum Place {
    /// In a file.
    Sqlite(SqliteConnectOptions),
    /// At a PostgreSQL server.
    Postgres(PgConnectOptions),
    /// At a MariaDB or MySQL server; how long a write waits for a lock, s.
    MariaDb(MySqlConnectOptions, u64),
}

impl Place {
    /// Reads the URL; of a file, makes sure that it is there and its owner's only.
    pub(super) fn of(config: &Config) -> Result<Self, DbError> {
        let refused = |error: sqlx::Error| DbError::Url(error.to_string());
        match Kind::of(&config.database.url) {
            Some(Kind::Sqlite) => sqlite::place(config).map(Self::Sqlite),
            Some(Kind::Postgres) => postgres::place(&config.database).map(Self::Postgres),
            Some(Kind::MariaDb) => mariadb::place(&config.database)
                .map(|options| Self::MariaDb(options, config.database.busy_timeout_ms)),
            None => Err(refused(sqlx::Error::Configuration(Kind::EXPECTED.into()))),
        }
    }

    /// The one connection that writes.
    pub(super) async fn connect(&self) -> Result<Connection, sqlx::Error> {
        Ok(match self {
            Self::Sqlite(options) => Connection::Sqlite(sqlite::connect(options).await?),
            Self::Postgres(options) => Connection::Postgres(postgres::connect(options).await?),
            Self::MariaDb(options, busy_timeout_ms) => {
                Connection::MariaDb(mariadb::connect(options, *busy_timeout_ms).await?)
            }
        })
    }

    /// Connections that can only read, made as they are needed.
    pub(super) fn readers(&self) -> Pool {
        match self {
            Self::Sqlite(options) => Pool::Sqlite(sqlite::readers(options)),
            Self::Postgres(options) => Pool::Postgres(postgres::readers(options)),
            Self::MariaDb(options, _) => Pool::MariaDb(mariadb::readers(options)),
        }
    }
}

/// The three, by their URLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `sqlite:FILE`.
    Sqlite,
    /// `postgres://USER@HOST:PORT/DATABASE`.
    Postgres,
    /// `mariadb://USER@HOST:PORT/DATABASE`, or `mysql://`.
    MariaDb,
}

impl Kind {
    /// What a URL has to look like.
    pub(crate) const EXPECTED: &str = "it must be sqlite:FILE, postgres://USER@HOST:PORT/DATABASE or mariadb://USER@HOST:PORT/DATABASE";

    /// The database that a URL names.
    pub(crate) fn of(url: &str) -> Option<Self> {
        let (scheme, _) = url.split_once(':')?;
        match scheme {
            "sqlite" => Some(Self::Sqlite),
            "postgres" | "postgresql" => Some(Self::Postgres),
            "mariadb" | "mysql" => Some(Self::MariaDb),
            _ => None,
        }
    }
}

/// An open connection.
#[derive(Debug)]
pub(super) enum Connection {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
    MariaDb(MySqlConnection),
}

/// Several connections that read.
#[derive(Clone, Debug)]
pub(super) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
    MariaDb(MySqlPool),
}

impl Connection {
    /// What this database says in its own way.
    pub(super) fn dialect(&self) -> &'static dyn Dialect {
        match self {
            Self::Sqlite(_) => &sqlite::Sqlite,
            Self::Postgres(_) => &postgres::Postgres,
            Self::MariaDb(_) => &mariadb::MariaDb,
        }
    }

    /// Statements without values, as they stand: transactions, DDL.
    pub(super) async fn run(&mut self, text: &str) -> Result<(), sqlx::Error> {
        let raw = sqlx::raw_sql(sqlx::AssertSqlSafe(text));
        match self {
            Self::Sqlite(db) => raw.execute(db).await.map(drop),
            Self::Postgres(db) => raw.execute(db).await.map(drop),
            Self::MariaDb(db) => raw.execute(db).await.map(drop),
        }
    }

    /// Says goodbye, and folds what is still in a log of SQLite's into its file.
    pub(super) async fn close(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(db) => db.close().await,
            Self::Postgres(db) => db.close().await,
            Self::MariaDb(db) => db.close().await,
        }
    }
}

impl Pool {
    /// What this database says in its own way.
    pub(super) fn dialect(&self) -> &'static dyn Dialect {
        match self {
            Self::Sqlite(_) => &sqlite::Sqlite,
            Self::Postgres(_) => &postgres::Postgres,
            Self::MariaDb(_) => &mariadb::MariaDb,
        }
    }

    /// Closes them all.
    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
            Self::MariaDb(pool) => pool.close().await,
        }
    }
}

/// The text with every `?n` (outside of quotes) said in another way.
fn respell(text: &str, mut place: impl FnMut(usize) -> String) -> String {
    let mut spelled = String::with_capacity(text.len());
    let mut quoted = false;
    let mut rest = text;
    while let Some(at) = rest.find(['?', '\'']) {
        let (before, from) = rest.split_at(at);
        spelled.push_str(before);
        let digits = from.get(1..).map_or(0, |after| {
            after.bytes().take_while(u8::is_ascii_digit).count()
        });
        let (mark, after) = from.split_at(1 + if from.starts_with('?') { digits } else { 0 });
        quoted ^= mark == "'";
        match mark.get(1..).map(str::parse::<usize>) {
            Some(Ok(number)) if !quoted && number > 0 => spelled.push_str(&place(number)),
            _ => spelled.push_str(mark),
        }
        rest = after;
    }
    spelled + rest
}

/// The column in the name of a key such as `users_extension_key`, as our migrations name them.
fn column_of_key(key: &str) -> String {
    let key = key.rsplit('.').next().unwrap_or(key);
    let column = key.strip_suffix("_key").unwrap_or(key);
    let column = column.split_once('_').map_or(column, |(_, column)| column);
    column.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: Upsert<'_> = Upsert {
        table: "t",
        columns: &["id", "a", "b"],
        source: "VALUES (?1, ?2, ?1)",
        changed: &["a"],
        only_if: Some("t.ended IS NULL"),
    };

    #[test]
    fn a_value_that_is_named_twice_is_given_to_every_place_of_its() {
        let text = "UPDATE t SET a = ?2, b = 'is it ?1?' WHERE c <> ?1 AND d = ?2";
        let numbered = postgres::Postgres.spell(text);
        assert_eq!(
            numbered.text,
            "UPDATE t SET a = $2, b = 'is it ?1?' WHERE c <> $1 AND d = $2"
        );
        assert_eq!(numbered.values, [0, 1]);
        let in_order = mariadb::MariaDb.spell(text);
        assert_eq!(
            in_order.text,
            "UPDATE t SET a = ?, b = 'is it ?1?' WHERE c <> ? AND d = ?"
        );
        assert_eq!(in_order.values, [1, 0, 1]);
    }

    #[test]
    fn an_upsert_changes_only_what_is_new_in_rows_that_may_change() {
        assert_eq!(
            postgres::Postgres.upsert(&SESSION),
            "INSERT INTO t (id, a, b) VALUES (?1, ?2, ?1) ON CONFLICT (id) DO UPDATE SET a = excluded.a \
             WHERE t.ended IS NULL AND (t.a IS DISTINCT FROM excluded.a)"
        );
        assert_eq!(
            mariadb::MariaDb.upsert(&SESSION),
            "INSERT INTO t (id, a, b) VALUES (?1, ?2, ?1) \
             ON DUPLICATE KEY UPDATE a = IF(t.ended IS NULL, VALUES(a), t.a)"
        );
    }

    #[test]
    fn a_url_names_its_database() {
        assert_eq!(Kind::of("sqlite:a.db"), Some(Kind::Sqlite));
        assert_eq!(Kind::of("postgresql://h/d"), Some(Kind::Postgres));
        assert_eq!(Kind::of("mysql://h/d"), Some(Kind::MariaDb));
        assert_eq!(Kind::of("oracle://h/d"), None);
        assert_eq!(Kind::of("rollcall.db"), None);
    }

    #[test]
    fn a_key_tells_its_column() {
        assert_eq!(column_of_key("users_extension_key"), "extension");
        assert_eq!(column_of_key("users.users_username_key"), "username");
    }
}
