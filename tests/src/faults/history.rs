//! The checker of what was said: to the dashboards, and to the apps.

use serde_json::Value;

use crate::Board;

/// The clocks of programs on one machine agree; an event is printed a little after what it speaks of.
const PRINTED_WITHIN_MS: u64 = 2_000;

/// Each `agents:snapshot` and `agent:status` follows the one before: of one epoch, and the next in it.
///
/// # Panics
///
/// If one does not.
pub(super) fn is_sound(board: &Board) {
    let mut stands: Option<(String, u64)> = None;
    for event in board.program().events() {
        let data = &event["data"];
        let Some((epoch, seq)) = data["epoch"].as_str().zip(data["seq"].as_u64()) else {
            continue;
        };
        if event["event"] == "agent:status" {
            let follows = stands
                .as_ref()
                .is_some_and(|(before, at)| before == epoch && seq == at + 1);
            assert!(follows, "{event} does not follow {stands:?}");
        }
        stands = Some((epoch.to_owned(), seq));
    }
}

/// Whatever an app was told is done stands on the ledger: for each run of the program a line of its own, of its device,
/// from the time of that run.
///
/// What one run was told twice is one act: it asks again under the same key when the link comes back.
///
/// # Panics
///
/// If it does not.
pub(super) fn nothing_acknowledged_is_lost(runs: &[Vec<Value>], device: &str, ledger: &Value) {
    for (event, intent) in [("online", "agent_online"), ("signed_out", "agent_logout")] {
        let mut free = on_record(ledger, device, intent);
        for run in runs {
            let Some(told) = run.iter().find(|line| is_acknowledged(line, event)) else {
                continue;
            };
            let began = run.first().map_or(0, at);
            let before = at(told) + PRINTED_WITHIN_MS;
            let own = free.iter().position(|line| (began..=before).contains(line));
            let Some(own) = own else {
                panic!("an acknowledged {intent} is lost: {told}, {ledger}");
            };
            free.remove(own);
        }
    }
}

/// Who could not reach the server was told so, and nothing else.
fn is_acknowledged(line: &Value, event: &str) -> bool {
    let problems = line["problems"].as_array();
    line["event"] == event && problems.is_none_or(Vec::is_empty)
}

fn at(line: &Value) -> u64 {
    line["t"].as_u64().unwrap_or_default()
}

/// When this device's intents of that kind were put on the ledger.
fn on_record(ledger: &Value, device: &str, what: &str) -> Vec<u64> {
    let lines = ledger["lines"].as_array().into_iter().flatten();
    lines
        .filter(|line| line["kind"] == "intent" && line["what"] == what && line["device"] == device)
        .filter_map(|line| line["at"].as_u64())
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const DEVICE: &str = "d1";

    fn run(began: u64, out: u64) -> Vec<Value> {
        vec![
            json!({ "event": "signing_in", "t": began }),
            json!({ "event": "online", "t": began + 100 }),
            json!({ "event": "signed_out", "t": out, "problems": [] }),
        ]
    }

    fn ledger(lines: &[(&str, u64, &str)]) -> Value {
        let line = |(what, at, device): &(&str, u64, &str)| json!({ "kind": "intent", "what": what, "at": at, "device": device });
        json!({ "lines": lines.iter().map(line).collect::<Vec<_>>() })
    }

    fn of_two_runs(lines: &[(&str, u64, &str)]) -> bool {
        let runs = [run(10_000, 20_000), run(30_000, 40_000)];
        std::panic::catch_unwind(|| nothing_acknowledged_is_lost(&runs, DEVICE, &ledger(lines)))
            .is_ok()
    }

    #[test]
    fn every_run_of_an_app_needs_lines_of_its_own_device_and_time() {
        let all = [
            ("agent_online", 10_050, DEVICE),
            ("agent_logout", 19_990, DEVICE),
            ("agent_online", 30_050, DEVICE),
            ("agent_logout", 39_990, DEVICE),
        ];
        assert!(of_two_runs(&all));
        for missing in 0..all.len() {
            let rest: Vec<_> = (0..all.len()).filter(|at| *at != missing).collect();
            let rest: Vec<_> = rest.into_iter().map(|at| all[at]).collect();
            assert!(!of_two_runs(&rest), "{rest:?}");
        }
        let mut elsewhere = all;
        elsewhere[2].2 = "d2";
        assert!(!of_two_runs(&elsewhere));
    }

    #[test]
    fn who_was_told_that_the_server_was_not_reached_was_acknowledged_nothing() {
        let runs = [vec![
            json!({ "event": "signing_in", "t": 10 }),
            json!({ "event": "signed_out", "t": 20, "problems": [{ "code": "server_unreachable" }] }),
        ]];
        nothing_acknowledged_is_lost(&runs, DEVICE, &ledger(&[]));
    }
}
