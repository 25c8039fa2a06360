//! What the database promises, shown on each of them.
//!
//! A behaviour is a function of a [`Scene`]: an open database of its own. On SQLite each is a test;
//! PostgreSQL, MariaDB and MySQL are started once for all of them, and the last name written to
//! standard error is the behaviour that failed.

mod contacts;
mod instances;
mod people;
mod phones;
mod schema;
mod writes;

use rollcall_alignment::{
    self as alignment, ContactId, ContactRow, ContactStatus, Extension, UserRow,
};
use rollcall_e2e::database::{self, Kind};
use rollcall_wire::http::Role;
use tempfile::TempDir;

use super::{
    dialect::{Connection, Place, Row, query},
    *,
};

macro_rules! behaviours {
    ($($module:ident: $($name:ident),+;)+) => {
        mod on_sqlite {
            $($(
                #[tokio::test]
                async fn $name() {
                    let server = super::server(super::Kind::Sqlite).await;
                    super::$module::$name(server.scene(stringify!($name)).await).await;
                }
            )+)+
        }

        #[tokio::test]
        async fn every_behaviour_holds_on_postgresql() {
            on(Kind::Postgres).await;
        }

        #[tokio::test]
        async fn every_behaviour_holds_on_mariadb() {
            on(Kind::MariaDb).await;
        }

        #[tokio::test]
        async fn every_behaviour_holds_on_mysql() {
            on(Kind::MySql).await;
        }

        async fn on(kind: Kind) {
            let server = server(kind).await;
            $($(
                eprintln!("{}", stringify!($name));
                Box::pin($module::$name(server.scene(stringify!($name)).await)).await;
            )+)+
        }
    };
}

behaviours! {
    writes:
        a_list_is_all_there_or_not_at_all_and_its_neighbours_stay,
        an_answered_write_is_seen_by_every_other_connection,
        many_writers_share_transactions_and_none_is_answered_before_its_own,
        a_lock_of_somebody_elses_fails_the_write_and_the_next_one_heals,
        writes_that_wait_are_made_before_it_closes_and_later_ones_are_refused,
        what_is_so_already_is_not_written_again,
        any_text_comes_back_as_it_was_written,
        old_lines_of_the_ledger_go_in_portions_and_the_others_stay,
        readers_cannot_write;
    people:
        a_name_is_one_persons_whatever_its_case,
        the_last_administrator_stays_one,
        a_sign_in_that_was_judged_before_a_reset_opens_no_session,
        a_change_of_ones_own_password_does_not_undo_what_was_done_meanwhile,
        a_session_lives_from_login_to_logout,
        a_refresh_token_is_traded_once,
        the_newest_end_of_an_extension_is_the_one_that_counts,
        the_last_state_that_was_known_is_read_back_with_its_age,
        what_is_wanted_of_a_pause_is_read_back_until_nothing_is;
    contacts:
        the_mirror_is_read_back_as_it_was_written,
        a_row_of_the_mirror_in_another_spelling_gives_way_to_ours,
        the_seeds_two_queries_run_as_written,
        a_table_of_asterisks_own_keeps_its_columns_and_rows_and_gains_ours,
        in_shared_mode_the_status_is_all_that_is_written_of_a_contact,
        in_shared_mode_an_eviction_sets_the_expiry_into_the_past_and_nothing_else,
        in_shared_mode_the_last_contact_outlives_its_row,
        no_write_of_either_side_fails_while_asterisk_writes_the_same_rows;
    phones:
        an_extension_has_as_many_contacts_as_the_policy_for_devices_and_keeps_what_was_changed_else;
    instances:
        an_asterisk_is_one_servers_until_that_one_is_silent,
        what_a_server_writes_that_was_succeeded_is_not_made;
    schema:
        opening_twice_changes_nothing,
        servers_that_start_together_migrate_once,
        nothing_is_lost_from_any_migration_to_the_newest,
        a_migration_that_was_cut_is_run_again,
        every_table_is_in_the_list_that_backups_are_made_of,
        a_backup_brought_back_elsewhere_holds_the_same,
        tables_of_a_newer_server_are_refused;
}

#[tokio::test]
async fn a_server_that_comes_back_is_written_again_on_postgresql() {
    writes::what_was_answered_outlives_the_database(server(Kind::Postgres).await).await;
}

#[tokio::test]
async fn a_server_that_comes_back_is_written_again_on_mariadb() {
    writes::what_was_answered_outlives_the_database(server(Kind::MariaDb).await).await;
}

#[tokio::test]
async fn a_server_that_comes_back_is_written_again_on_mysql() {
    writes::what_was_answered_outlives_the_database(server(Kind::MySql).await).await;
}

#[tokio::test]
async fn on_sqlite_every_connection_waits_for_the_disk_and_one_that_does_not_is_named() {
    writes::every_connection_waits_for_the_disk(server(Kind::Sqlite).await).await;
}

#[tokio::test]
async fn the_password_of_postgresql_comes_from_its_file() {
    let server = server(Kind::Postgres).await;
    let mut config = server.config("guarded").await;
    let mut db = raw(&config).await;
    let role = format!("CREATE ROLE guard LOGIN PASSWORD '{}'", database::PASSWORD);
    db.run(&role).await.unwrap();
    config.database.url = config.database.url.replace("rollcall@", "guard@");
    let place = Place::of(&config).unwrap();
    place.connect().await.unwrap();
    config.database.password_file = None;
    assert!(Place::of(&config).unwrap().connect().await.is_err());
}

/// A database server, with a folder for the data of ours.
struct Server {
    databases: database::Database,
    dir: TempDir,
}

/// An open database of its own.
struct Scene {
    config: Config,
    database: Database,
}

async fn server(kind: Kind) -> Server {
    Server {
        databases: database::Database::start(kind).await,
        dir: tempfile::tempdir().unwrap(),
    }
}

impl Server {
    /// A configuration for an empty database.
    async fn config(&self, name: &str) -> Config {
        // PostgreSQL's names end after 63 bytes.
        let short = &name[..name.len().min(60)];
        let password = self.dir.path().join("password");
        std::fs::write(&password, database::PASSWORD).unwrap();
        let mut config = Config {
            data_dir: self.dir.path().join(short),
            ..Config::default()
        };
        config.database.url = self.databases.make(short).await;
        config.database.password_file = Some(password);
        config.database.busy_timeout_ms = 1_000;
        config
    }

    async fn scene(&self, name: &str) -> Scene {
        Scene::open(self.config(name).await).await
    }
}

impl Scene {
    async fn open(config: Config) -> Self {
        let database = Database::open(&config).await.unwrap();
        Self { config, database }
    }

    async fn reopened(mut self, change: impl FnOnce(&mut Config)) -> Self {
        self.database.close().await;
        change(&mut self.config);
        Self::open(self.config).await
    }

    /// Another connection, which may write.
    async fn raw(&self) -> Connection {
        raw(&self.config).await
    }

    async fn rows(&self, sql: &'static str) -> Vec<Row> {
        query(sql).fetch_all(&mut self.raw().await).await.unwrap()
    }

    async fn count(&self, sql: &'static str) -> i64 {
        let rows = self.rows(sql).await;
        rows[0].try_get_int(0).unwrap().unwrap()
    }

    async fn commit(&self, writes: Vec<Write>) {
        self.database.commit(writes).await.unwrap();
    }
}

async fn raw(config: &Config) -> Connection {
    Place::of(config).unwrap().connect().await.unwrap()
}

fn user(username: &str, extension: &str) -> Write {
    Write::AddUser(NewUser {
        username: username.into(),
        extension: Some(extension.into()),
        role: Role::Agent,
        password_hash: "x".into(),
        sip_secret: Some(vec![0, 255, 39]),
        at: 1,
    })
}

fn row(id: &str, status: ContactStatus) -> ContactRow {
    ContactRow {
        id: ContactId::new(id),
        endpoint: Extension::new("1001").unwrap(),
        uri: "sip:1001@192.0.2.1".into(),
        user_agent: "Rollcall".into(),
        expires_unix: 5_000,
        qualify_frequency: 10,
        reg_server: String::new(),
        status,
    }
}

fn contact(id: &str, status: ContactStatus) -> Write {
    Write::Core(alignment::Write::Contact(row(id, status)))
}

fn presence(online: bool) -> Write {
    Write::Core(alignment::Write::User(UserRow {
        extension: Extension::new("1001").unwrap(),
        online,
        sip_registered: online,
    }))
}
