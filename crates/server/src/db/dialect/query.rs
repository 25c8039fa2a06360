//! One statement with its values, and the rows that come back, whichever database answers.

use std::borrow::Cow;

use sqlx::{
    AssertSqlSafe, Decode, MySql, Postgres, Row as _, Sqlite, Type, mysql::MySqlRow,
    postgres::PgRow, sqlite::SqliteRow,
};

use super::{Connection, Pool};

/// A statement with numbered values: `query("... WHERE id = ?1").bind(id)`.
#[derive(Debug)]
#[must_use = "a query does nothing until it is carried out"]
pub(in crate::db) struct Query<'q> {
    text: Cow<'static, str>,
    values: Vec<Value<'q>>,
}

/// Begins a statement; its values are bound in the order of their numbers.
pub(in crate::db) fn query<'q>(text: impl Into<Cow<'static, str>>) -> Query<'q> {
    Query {
        text: text.into(),
        values: Vec::new(),
    }
}

/// A value of one of the four types, or none.
#[derive(Clone, Debug)]
pub(in crate::db) enum Value<'q> {
    Int(Option<i64>),
    Text(Option<Cow<'q, str>>),
    Bytes(Option<Cow<'q, [u8]>>),
    Bool(Option<bool>),
}

impl<'q> Query<'q> {
    /// Gives the next value.
    pub(in crate::db) fn bind(mut self, value: impl Into<Value<'q>>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Carries it out; answers how many rows it found and, if it changes rows, changed or left as
    /// they should be.
    pub(in crate::db) async fn execute(self, db: &mut Connection) -> Result<u64, sqlx::Error> {
        db.done(self).await
    }

    /// All rows of the answer.
    pub(in crate::db) async fn fetch_all(self, db: impl Executor) -> Result<Vec<Row>, sqlx::Error> {
        db.rows(self).await
    }

    /// The first row of the answer, if there is one.
    pub(in crate::db) async fn fetch_optional(
        self,
        db: impl Executor,
    ) -> Result<Option<Row>, sqlx::Error> {
        Ok(db.rows(self).await?.into_iter().next())
    }
}

/// Whoever carries a query out.
pub(in crate::db) trait Executor: Send {
    /// The rows of the answer.
    async fn rows(self, query: Query<'_>) -> Result<Vec<Row>, sqlx::Error>;
}

/// Binds the values of `$query`, in the database's own form, and carries it out by `$method`.
macro_rules! carry_out {
    ($dialect:expr, $query:ident, $method:ident, $db:expr) => {{
        let spelled = $dialect.spell(&$query.text);
        let mut own = sqlx::query(AssertSqlSafe(spelled.text));
        for place in spelled.values {
            let missing = || sqlx::Error::Protocol(format!("value ?{} is not bound", place + 1));
            own = match $query.values.get(place).cloned().ok_or_else(missing)? {
                Value::Int(value) => own.bind(value),
                Value::Text(value) => own.bind(value.map(Cow::into_owned)),
                Value::Bytes(value) => own.bind(value.map(Cow::into_owned)),
                Value::Bool(value) => own.bind(value),
            };
        }
        own.$method($db).await
    }};
}

impl Connection {
    async fn done(&mut self, query: Query<'_>) -> Result<u64, sqlx::Error> {
        let dialect = self.dialect();
        Ok(match self {
            Self::Sqlite(db) => carry_out!(dialect, query, execute, db)?.rows_affected(),
            Self::Postgres(db) => {
                let query = query.without_nul();
                carry_out!(dialect, query, execute, db)?.rows_affected()
            }
            Self::MariaDb(db) => carry_out!(dialect, query, execute, db)?.rows_affected(),
        })
    }
}

impl Executor for &mut Connection {
    async fn rows(self, query: Query<'_>) -> Result<Vec<Row>, sqlx::Error> {
        let dialect = self.dialect();
        Ok(match self {
            Connection::Sqlite(db) => own(carry_out!(dialect, query, fetch_all, db)?),
            Connection::Postgres(db) => {
                let query = query.without_nul();
                own(carry_out!(dialect, query, fetch_all, db)?)
            }
            Connection::MariaDb(db) => own(carry_out!(dialect, query, fetch_all, db)?),
        })
    }
}

impl Executor for &Pool {
    async fn rows(self, query: Query<'_>) -> Result<Vec<Row>, sqlx::Error> {
        let dialect = self.dialect();
        Ok(match self {
            Pool::Sqlite(pool) => own(carry_out!(dialect, query, fetch_all, pool)?),
            Pool::Postgres(pool) => {
                let query = query.without_nul();
                own(carry_out!(dialect, query, fetch_all, pool)?)
            }
            Pool::MariaDb(pool) => own(carry_out!(dialect, query, fetch_all, pool)?),
        })
    }
}

fn own<R: Into<Row>>(rows: Vec<R>) -> Vec<Row> {
    rows.into_iter().map(Into::into).collect()
}

impl Query<'_> {
    /// PostgreSQL's text holds every character but U+0000, and refuses the whole statement for one.
    fn without_nul(mut self) -> Self {
        for value in &mut self.values {
            if let Value::Text(Some(text)) = value
                && text.contains('\0')
            {
                *text = Cow::Owned(text.replace('\0', "\u{fffd}"));
            }
        }
        self
    }
}

/// A row of an answer.
#[derive(Debug)]
pub(in crate::db) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
    MariaDb(MySqlRow),
}

/// What a column may be read as: `i64`, `String`, `&str`, `Vec<u8>`, `bool`, or an `Option` of them.
pub(in crate::db) trait Cell<'r>:
    Decode<'r, Sqlite>
    + Type<Sqlite>
    + Decode<'r, Postgres>
    + Type<Postgres>
    + Decode<'r, MySql>
    + Type<MySql>
{
}

impl<'r, T> Cell<'r> for T where
    T: Decode<'r, Sqlite>
        + Type<Sqlite>
        + Decode<'r, Postgres>
        + Type<Postgres>
        + Decode<'r, MySql>
        + Type<MySql>
{
}

impl Row {
    /// The value of a column, counted from 0.
    pub(in crate::db) fn try_get<'r, T: Cell<'r>>(
        &'r self,
        column: usize,
    ) -> Result<T, sqlx::Error> {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
            Self::MariaDb(row) => row.try_get(column),
        }
    }

    /// An integer of whatever width the column has: in a table that is not ours, any.
    pub(in crate::db) fn try_get_int(&self, column: usize) -> Result<Option<i64>, sqlx::Error> {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get_unchecked(column),
            Self::MariaDb(row) => row.try_get_unchecked(column),
        }
    }
}

impl From<SqliteRow> for Row {
    fn from(row: SqliteRow) -> Self {
        Self::Sqlite(row)
    }
}

impl From<PgRow> for Row {
    fn from(row: PgRow) -> Self {
        Self::Postgres(row)
    }
}

impl From<MySqlRow> for Row {
    fn from(row: MySqlRow) -> Self {
        Self::MariaDb(row)
    }
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(value: Option<i64>) -> Self {
        Self::Int(value)
    }
}

impl From<u32> for Value<'_> {
    fn from(value: u32) -> Self {
        Self::Int(Some(value.into()))
    }
}

impl<'q> From<&'q str> for Value<'q> {
    fn from(value: &'q str) -> Self {
        Self::Text(Some(Cow::Borrowed(value)))
    }
}

impl<'q> From<&'q String> for Value<'q> {
    fn from(value: &'q String) -> Self {
        Self::Text(Some(Cow::Borrowed(value)))
    }
}

impl<'q> From<Cow<'q, str>> for Value<'q> {
    fn from(value: Cow<'q, str>) -> Self {
        Self::Text(Some(value))
    }
}

impl From<String> for Value<'_> {
    fn from(value: String) -> Self {
        Self::Text(Some(Cow::Owned(value)))
    }
}

impl<'q> From<Option<&'q str>> for Value<'q> {
    fn from(value: Option<&'q str>) -> Self {
        Self::Text(value.map(Cow::Borrowed))
    }
}

impl<'q> From<&'q [u8]> for Value<'q> {
    fn from(value: &'q [u8]) -> Self {
        Self::Bytes(Some(Cow::Borrowed(value)))
    }
}

impl From<Vec<u8>> for Value<'_> {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(Some(Cow::Owned(value)))
    }
}

impl<'q> From<Option<&'q [u8]>> for Value<'q> {
    fn from(value: Option<&'q [u8]>) -> Self {
        Self::Bytes(value.map(Cow::Borrowed))
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(Some(value))
    }
}
