//! `rollcall-server doctor` beside Asterisk 22: each thing that is set up wrongly is found, with its fix; the fix is
//! applied as it is written, and the finding is gone.

use std::fs;

use rollcall_e2e::Scene;
use rollcall_e2e::asterisk::Settings;
use rollcall_e2e::database::{self, Kind};
use rollcall_e2e::scene::Mode;
use rollcall_e2e::server::Options;
use serde_json::Value;
use sqlx::Executor;

/// What a change of Asterisk's files takes to be in force.
#[derive(Clone, Copy)]
enum By {
    Reload(&'static str),
    Restart,
}

/// A line of one of Asterisk's files, right and wrong.
struct Line {
    file: &'static str,
    right: &'static str,
    wrong: &'static str,
    by: By,
}

/// What the doctor says of it.
struct Finding {
    check: &'static str,
    level: &'static str,
    /// A part of the words for what was found.
    found: &'static str,
    /// A part of the words for what to do.
    fix: &'static str,
}

#[tokio::test]
async fn what_is_wrong_with_addresses_of_record_is_found_and_gone_once_it_is_mended() {
    let mut scene = mirror().await;
    let aor = |right, wrong| Line {
        file: "pjsip.conf",
        right,
        wrong,
        by: By::Reload("module reload res_pjsip.so"),
    };
    let cases = [
        (
            aor("qualify_frequency = 1\n", "qualify_frequency = 0\n"),
            Finding {
                check: "qualify",
                level: "problem",
                found: "never tested",
                fix: "qualify_frequency=10",
            },
        ),
        (
            aor("qualify_2xx_only = yes", "qualify_2xx_only = no"),
            Finding {
                check: "qualify_2xx_only",
                level: "warning",
                found: "any answer to OPTIONS counts",
                fix: "qualify_2xx_only=yes",
            },
        ),
        (
            aor("max_contacts = 5", "max_contacts = 1"),
            Finding {
                check: "max_contacts",
                level: "problem",
                found: "devices = \"multi\"",
                fix: "max_contacts=5",
            },
        ),
        (
            aor("minimum_expiration = 5\n", "minimum_expiration = 3600\n"),
            Finding {
                check: "minimum_expiration",
                level: "warning",
                found: "stays registered that long",
                fix: "minimum_expiration=60",
            },
        ),
    ];
    for (line, finding) in cases {
        found_and_mended(&mut scene, &line, &finding).await;
    }
}

#[tokio::test]
async fn what_is_wrong_with_names_clocks_and_permissions_is_found_and_gone_once_it_is_mended() {
    let mut scene = mirror().await;
    let cases = [
        (
            Line {
                file: "manager.conf",
                right: "write = system,call,agent,",
                wrong: "write = system,call,",
                by: By::Reload("manager reload"),
            },
            Finding {
                check: "permissions",
                level: "warning",
                found: "may not do QueuePause",
                fix: "add agent to write=",
            },
        ),
        (
            Line {
                file: "manager.conf",
                right: "write = system,call,",
                wrong: "write = call,",
                by: By::Reload("manager reload"),
            },
            Finding {
                check: "permissions",
                level: "problem",
                found: "PJSIPShowContacts is refused",
                fix: "add system to read= and write=",
            },
        ),
        (
            Line {
                file: "ari.conf",
                right: "read_only = no",
                wrong: "read_only = yes",
                by: By::Reload("module reload res_ari.so"),
            },
            Finding {
                check: "ari",
                level: "problem",
                found: "403",
                fix: "read_only=no",
            },
        ),
        (
            Line {
                file: "asterisk.conf",
                right: "systemname = lab",
                wrong: "; no systemname",
                by: By::Restart,
            },
            Finding {
                check: "systemname",
                level: "warning",
                found: "no systemname",
                fix: "set systemname in asterisk.conf",
            },
        ),
    ];
    for (line, finding) in cases {
        found_and_mended(&mut scene, &line, &finding).await;
    }
    clock(&mut scene).await;
}

async fn clock(scene: &mut Scene) {
    let finding = Finding {
        check: "clock",
        level: "problem",
        found: "ms ahead of ours",
        fix: "NTP",
    };
    for ahead in [90, 0] {
        scene.asterisk.kill();
        scene.asterisk.shift_clock(ahead);
        scene.asterisk.boot().await;
        assert_eq!(is_found(scene, &finding), ahead != 0);
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_shared_table_is_found_and_gone_once_it_is_mended() {
    let mut scene = Scene::shared_on(Kind::Postgres, Settings::default(), Options::default()).await;
    let file = |file, right, wrong| Line {
        file,
        right,
        wrong,
        by: By::Restart,
    };
    let cases = [
        (
            file(
                "sorcery.conf",
                "contact = realtime,ps_contacts",
                "; contacts are not mapped",
            ),
            Finding {
                check: "sorcery",
                level: "problem",
                found: "does not map contacts to the database",
                fix: "contact=realtime,ps_contacts under [res_pjsip]",
            },
        ),
        (
            file(
                "sorcery.conf",
                "contact = realtime,ps_contacts",
                "contact/cache = memory_cache,maximum_objects=100\ncontact = realtime,ps_contacts",
            ),
            Finding {
                check: "memory_cache",
                level: "problem",
                found: "hidden",
                fix: "remove contact/cache=memory_cache",
            },
        ),
        (
            file("extconfig.conf", "pgsql,public", "sqlite3,asterisk"),
            Finding {
                check: "driver",
                level: "problem",
                found: "res_config_sqlite3 never deletes a row",
                fix: "in extconfig.conf",
            },
        ),
    ];
    for (line, finding) in cases {
        found_and_mended(&mut scene, &line, &finding).await;
    }
    let tables = [
        (
            Finding {
                check: "columns",
                level: "problem",
                found: "site",
                fix: "give site a default",
            },
            "ALTER TABLE ps_contacts ADD COLUMN site VARCHAR(20) NOT NULL",
            "ALTER TABLE ps_contacts ALTER COLUMN site SET DEFAULT ''",
        ),
        (
            Finding {
                check: "schema",
                level: "problem",
                found: "lacks via_addr",
                fix: "Asterisk 22's migrations",
            },
            "ALTER TABLE ps_contacts DROP COLUMN via_addr",
            "ALTER TABLE ps_contacts ADD COLUMN via_addr VARCHAR(40)",
        ),
    ];
    for (finding, spoil, mend) in tables {
        for (statement, expected) in [(spoil, true), (mend, false)] {
            sql(&scene, statement).await;
            assert_eq!(is_found(&scene, &finding), expected, "{statement}");
        }
    }
    // A column of somebody else's that stands in nobody's way: phones register as ever.
    let _agent = scene.signed_in("1001").await;
    scene.all_say_available("1001").await;
}

#[tokio::test]
async fn a_registrar_that_would_lock_a_restarted_app_out_is_found_and_gone_once_it_is_mended() {
    let options = Options {
        devices: Some("takeover"),
        ..Options::default()
    };
    let mut scene = Scene::start_with(Mode::Mirror, Settings::default(), options).await;
    let finding = Finding {
        check: "remove_existing",
        level: "problem",
        found: "a restarted app cannot register until its old contact expires",
        fix: "remove_existing=yes",
    };
    assert!(
        !is_found(&scene, &finding),
        "there is room for a second contact"
    );
    let line = |right, wrong| Line {
        file: "pjsip.conf",
        right,
        wrong,
        by: By::Reload("module reload res_pjsip.so"),
    };
    let room = line("max_contacts = 5", "max_contacts = 1");
    put(&mut scene, &room, room.right, room.wrong).await;
    assert!(is_found(&scene, &finding), "one contact, which stays");
    let way = line("remove_existing = yes", "remove_existing = no");
    put(&mut scene, &way, way.wrong, way.right).await;
    assert!(!is_found(&scene, &finding), "one contact, which gives way");
}

async fn mirror() -> Scene {
    let options = Options {
        ari: true,
        ..Options::default()
    };
    Scene::start_with(Mode::Mirror, Settings::default(), options).await
}

async fn found_and_mended(scene: &mut Scene, line: &Line, finding: &Finding) {
    assert!(
        !is_found(scene, finding),
        "{} before anything is wrong",
        finding.check
    );
    put(scene, line, line.right, line.wrong).await;
    assert!(is_found(scene, finding), "{} is wrong", finding.check);
    put(scene, line, line.wrong, line.right).await;
    assert!(!is_found(scene, finding), "{} is mended", finding.check);
}

async fn put(scene: &mut Scene, line: &Line, from: &str, to: &str) {
    let path = scene.asterisk.folder().join("etc").join(line.file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", line.file));
    assert!(text.contains(from), "{} has no {from:?}", line.file);
    fs::write(&path, text.replace(from, to)).unwrap_or_else(|error| panic!("{error}"));
    match line.by {
        By::Reload(command) => drop(scene.asterisk.rx(command).await),
        By::Restart => {
            scene.asterisk.stop().await;
            scene.asterisk.boot().await;
        }
    }
}

/// Whether the doctor finds it, in JSON and in words, with its fix; a problem makes it end with an error.
fn is_found(scene: &Scene, finding: &Finding) -> bool {
    let (well, json) = scene.server.ask(&["doctor", "--json"]);
    let all: Vec<Value> =
        serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
    let said = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let problems = all.iter().any(|one| one["level"] == "problem");
    assert_eq!(well, !problems, "{json}");
    let is_it = |one: &&Value| {
        one["check"] == finding.check
            && one["level"] == finding.level
            && said(&one["found"]).contains(finding.found)
    };
    let Some(one) = all.iter().find(is_it) else {
        return false;
    };
    let fix = said(&one["fix"]);
    assert!(fix.contains(finding.fix), "{one}");
    let (_, words) = scene.server.ask(&["doctor"]);
    let heading = finding.level.to_uppercase();
    let line = format!("{heading:8} {}: ", finding.check);
    assert!(
        words.contains(&line) && words.contains(&format!("fix: {fix}")),
        "{words}"
    );
    true
}

async fn sql(scene: &Scene, statement: &'static str) {
    let connection = database::connect(&scene.server.database_url()).await;
    let mut connection = connection.unwrap_or_else(|error| panic!("{error}"));
    let done = connection.execute(statement).await;
    done.unwrap_or_else(|error| panic!("{statement}: {error}"));
}
