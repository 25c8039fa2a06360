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

/// Whatever an app was told is done stands on the ledger, from before it was told.
///
/// # Panics
///
/// If it does not.
pub(super) fn nothing_acknowledged_is_lost(told: &[Value], ledger: &Value) {
    for (event, intent) in [("online", "agent_online"), ("signed_out", "agent_logout")] {
        for line in told.iter().filter(|line| line["event"] == event) {
            // Who could not reach the server was told so, and nothing else.
            let unheard = line["problems"]
                .as_array()
                .is_some_and(|problems| !problems.is_empty());
            let at = line["t"].as_u64().unwrap_or_default();
            assert!(
                unheard || is_on_record(ledger, intent, at),
                "an acknowledged {intent} is lost: {line}, {ledger}"
            );
        }
    }
}

fn is_on_record(ledger: &Value, what: &str, before: u64) -> bool {
    let lines = ledger["lines"].as_array().into_iter().flatten();
    let mut intents = lines.filter(|line| line["kind"] == "intent" && line["what"] == what);
    intents.any(|line| {
        line["at"]
            .as_u64()
            .is_some_and(|at| at <= before + PRINTED_WITHIN_MS)
    })
}
