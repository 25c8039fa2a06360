//! What the ledger tells afterwards: its lines, sessions and their durations, and drift by cause.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    BoxError, Json,
    body::Body,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, header},
    response::{IntoResponse as _, Response},
};
use futures_util::{StreamExt as _, stream};
use rollcall_alignment::{BoardStatus, Decision};
use rollcall_wire::{
    check,
    explain::{Drift, DriftLine, Ledger, LedgerLine, SessionLine, SessionTotal, Sessions},
};
use serde::{Deserialize, Serialize};

use super::{ApiError, Edge, signed};
use crate::{clock, db::Lines};

/// Lines of one answer.
const PAGE: i64 = 1_000;
/// Sessions of one answer.
const MANY: i64 = 200_000;
/// The type of a sheet.
const CSV: &str = "text/csv; charset=utf-8";
/// A day, ms.
const DAY: u64 = 86_400_000;

/// The period and form of a report.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Period {
    /// From, ms since the epoch; a day ago without it.
    from: Option<u64>,
    /// Until, ms since the epoch; now without it.
    to: Option<u64>,
    /// `csv`; JSON without it.
    format: Option<Format>,
    /// Of this extension alone.
    extension: Option<String>,
    /// The ledger's lines after this one.
    after: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    Csv,
    Json,
}

type Asked = Result<Query<Period>, QueryRejection>;

/// `GET /api/ledger`.
pub(super) async fn ledger(
    State(edge): State<Arc<Edge>>,
    asked: Asked,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (wanted, csv) = admitted(&edge, asked, &headers, PAGE).await?;
    let lines = edge.database.ledger(&wanted).await?;
    if csv {
        return whole_sheet(edge, wanted, lines);
    }
    let next = next_page(&wanted, &lines);
    Ok(Json(Ledger { lines, next }).into_response())
}

/// After which line the ledger goes on, if these fill their page.
fn next_page(wanted: &Lines, lines: &[LedgerLine]) -> Option<i64> {
    let full = i64::try_from(lines.len()).is_ok_and(|count| count == wanted.limit);
    lines.last().filter(|_| full).map(|line| line.seq)
}

/// The ledger of the whole period as CSV, read page by page as it is sent. A page that cannot be read breaks the answer
/// off, so that nobody takes it for whole.
fn whole_sheet(
    edge: Arc<Edge>,
    wanted: Lines,
    first: Vec<LedgerLine>,
) -> Result<Response, ApiError> {
    let next = next_page(&wanted, &first);
    let begins = bytes_of(&first, true)?;
    let pages = stream::try_unfold(
        (edge, wanted, next),
        |(edge, mut wanted, next)| async move {
            let Some(after) = next else {
                return Ok::<_, BoxError>(None);
            };
            wanted.after = after;
            let lines = edge.database.ledger(&wanted).await?;
            let next = next_page(&wanted, &lines);
            let page = bytes_of(&lines, false).map_err(|_| "a line that is no CSV")?;
            Ok(Some((page, (edge, wanted, next))))
        },
    );
    let body = Body::from_stream(stream::once(async { Ok(begins) }).chain(pages));
    Ok(([(header::CONTENT_TYPE, CSV)], body).into_response())
}

/// `GET /api/reports/sessions`.
pub(super) async fn sessions(
    State(edge): State<Arc<Edge>>,
    asked: Asked,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (wanted, csv) = admitted(&edge, asked, &headers, MANY).await?;
    let mut sessions = edge
        .database
        .sessions_between(wanted.from, wanted.to, MANY)
        .await?;
    if let Some(extension) = &wanted.extension {
        sessions.retain(|session| session.extension == *extension);
    }
    if csv {
        return sheet(&sessions);
    }
    let totals = totals(&sessions, wanted.from, wanted.to);
    Ok(Json(Sessions { sessions, totals }).into_response())
}

/// `GET /api/reports/drift`.
pub(super) async fn drift(
    State(edge): State<Arc<Edge>>,
    asked: Asked,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (mut wanted, csv) = admitted(&edge, asked, &headers, PAGE).await?;
    let database = &edge.database;
    let mut sessions = database
        .sessions_between(wanted.from, wanted.to, MANY)
        .await?;
    if let Some(extension) = &wanted.extension {
        sessions.retain(|session| session.extension == *extension);
    }
    let mut tally = Tally::new(&sessions, wanted.from, wanted.to);
    for extension in tally.extensions() {
        let held = database.decision_at(extension, wanted.from).await?;
        held.iter().for_each(|line| tally.decided(line));
    }
    loop {
        let lines = database.decisions(&wanted).await?;
        lines.iter().for_each(|line| tally.decided(line));
        match lines.last() {
            Some(last) if i64::try_from(lines.len()).is_ok_and(|count| count == wanted.limit) => {
                wanted.after = last.seq;
            }
            _ => break,
        }
    }
    let lines = tally.lines();
    if csv {
        return sheet(&lines);
    }
    Ok(Json(Drift { lines }).into_response())
}

async fn admitted(
    edge: &Edge,
    asked: Asked,
    headers: &HeaderMap,
    limit: i64,
) -> Result<(Lines, bool), ApiError> {
    let session = signed::in_session(edge, headers).await?;
    signed::only_supervisors(&session)?;
    let Query(period) = asked.map_err(|error| ApiError::invalid("query", error.body_text()))?;
    if let Some(extension) = &period.extension {
        check::extension(extension).map_err(|why| ApiError::invalid("extension", why))?;
    }
    let to = period.to.unwrap_or_else(|| clock::now_ms() + 1);
    let from = period.from.unwrap_or_else(|| to.saturating_sub(DAY));
    if from > to {
        return Err(ApiError::invalid("from", "is after to"));
    }
    let after = period.after.unwrap_or_default();
    if after < 0 {
        return Err(ApiError::invalid("after", "is below 0"));
    }
    let wanted = Lines {
        after,
        extension: period.extension,
        from,
        to,
        limit,
    };
    Ok((wanted, period.format == Some(Format::Csv)))
}

/// Rows as CSV (RFC 4180).
fn sheet<T: Serialize>(rows: &[T]) -> Result<Response, ApiError> {
    Ok(([(header::CONTENT_TYPE, CSV)], bytes_of(rows, true)?).into_response())
}

fn bytes_of<T: Serialize>(rows: &[T], with_head: bool) -> Result<Vec<u8>, ApiError> {
    let mut text = csv::WriterBuilder::new()
        .has_headers(with_head)
        .from_writer(Vec::new());
    for row in rows {
        text.serialize(row).map_err(|_| ApiError::internal())?;
    }
    text.into_inner().map_err(|_| ApiError::internal())
}

fn totals(sessions: &[SessionLine], from: u64, to: u64) -> Vec<SessionTotal> {
    let mut totals: BTreeMap<&str, SessionTotal> = BTreeMap::new();
    let now = clock::now_ms();
    for session in sessions {
        let total = totals
            .entry(&session.extension)
            .or_insert_with(|| SessionTotal {
                extension: session.extension.clone(),
                logins: 0,
                logouts: 0,
                other_ends: 0,
                online_ms: 0,
            });
        total.logins += u32::from(session.started >= from);
        match session.end.as_deref() {
            Some("logged_out") => total.logouts += 1,
            Some(_) => total.other_ends += 1,
            None => {}
        }
        total.online_ms += online_within(session, from, to.min(now));
    }
    totals.into_values().collect()
}

fn online_within(session: &SessionLine, from: u64, to: u64) -> u64 {
    let Some(online) = session.online else {
        return 0;
    };
    let end = session.ended.unwrap_or(to).min(to);
    end.saturating_sub(online.max(from))
}

/// How long each agent wanted to be online and was shown as Unknown, NotAvailable or Offline, by the
/// weightiest reason of that time.
struct Tally<'a> {
    from: u64,
    to: u64,
    /// When each wanted to be online.
    wanted: BTreeMap<&'a str, Vec<(u64, u64)>>,
    /// Who is shown so, since when and why.
    open: BTreeMap<&'a str, (u64, &'static str)>,
    sums: BTreeMap<(&'a str, &'static str), u64>,
}

impl<'a> Tally<'a> {
    fn new(sessions: &'a [SessionLine], from: u64, to: u64) -> Self {
        let to = to.min(clock::now_ms());
        let mut wanted: BTreeMap<&str, Vec<(u64, u64)>> = BTreeMap::new();
        for session in sessions {
            if let Some(online) = session.online {
                let end = session.ended.unwrap_or(to).min(to);
                let spans = wanted.entry(&session.extension).or_default();
                spans.push((online.max(from), end));
            }
        }
        Self {
            from,
            to,
            wanted,
            open: BTreeMap::new(),
            sums: BTreeMap::new(),
        }
    }

    /// Who wanted to be online at all.
    fn extensions(&self) -> Vec<&'a str> {
        self.wanted.keys().copied().collect()
    }

    /// The ledger's lines in their order; the last one before the period says what held at its
    /// beginning.
    fn decided(&mut self, line: &LedgerLine) {
        let decision = (line.what == "status_changed").then(|| Decision::read(&line.detail));
        let (Some(extension), Some(Some(decision))) = (line.extension.as_deref(), decision) else {
            return;
        };
        let Some((&extension, _)) = self.wanted.get_key_value(extension) else {
            return;
        };
        let at = line.at.max(self.from);
        self.close(extension, at);
        let differs = matches!(
            decision.status,
            BoardStatus::Unknown | BoardStatus::NotAvailable | BoardStatus::Offline
        );
        if differs {
            let cause = decision
                .reasons
                .first()
                .map_or("none", |code| code.as_str());
            self.open.insert(extension, (at, cause));
        }
    }

    fn close(&mut self, extension: &'a str, until: u64) {
        let Some((since, cause)) = self.open.remove(extension) else {
            return;
        };
        let spans = self.wanted.get(extension).map_or(&[][..], Vec::as_slice);
        *self.sums.entry((extension, cause)).or_default() += overlap(spans, since, until);
    }

    fn lines(mut self) -> Vec<DriftLine> {
        for extension in self.extensions() {
            self.close(extension, self.to);
        }
        let online = |extension: &str| {
            let spans = self.wanted.get(extension).map_or(&[][..], Vec::as_slice);
            overlap(spans, 0, self.to)
        };
        (self.sums.iter())
            .filter(|(_, total_ms)| **total_ms > 0)
            .map(|((extension, cause), &total_ms)| DriftLine {
                extension: (*extension).to_owned(),
                cause: (*cause).to_owned(),
                total_ms,
                seconds_per_agent_day: per_day(total_ms, online(extension)),
            })
            .collect()
    }
}

fn overlap(spans: &[(u64, u64)], from: u64, to: u64) -> u64 {
    spans
        .iter()
        .map(|(begin, end)| (*end).min(to).saturating_sub((*begin).max(from)))
        .sum()
}

// Figures for people: the fraction of a millisecond that f64 may lose is none.
#[allow(clippy::cast_precision_loss)]
fn per_day(total_ms: u64, online_ms: u64) -> f64 {
    if online_ms == 0 {
        return 0.0;
    }
    total_ms as f64 / online_ms as f64 * 86_400.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(at: u64, detail: &str) -> LedgerLine {
        LedgerLine {
            seq: i64::try_from(at).unwrap_or_default(),
            at,
            extension: Some("1001".into()),
            device: None,
            kind: "decision".into(),
            source: "server".into(),
            rule: Some("R1".into()),
            what: "status_changed".into(),
            detail: detail.into(),
        }
    }

    fn online(from: u64, to: u64) -> SessionLine {
        SessionLine {
            extension: "1001".into(),
            device: "d1".into(),
            started: from,
            online: Some(from),
            ended: Some(to),
            end: Some("logged_out".into()),
        }
    }

    fn drift(sessions: &[SessionLine], from: u64, lines: &[LedgerLine]) -> Vec<DriftLine> {
        let mut tally = Tally::new(sessions, from, 20_000);
        lines.iter().for_each(|line| tally.decided(line));
        tally.lines()
    }

    #[test]
    fn drift_is_the_time_an_agent_wanted_to_be_there_and_was_not_shown_so_by_cause() {
        let lines = [
            decision(
                1_000,
                "Offline -> NotAvailable because: not_qualified; lease live",
            ),
            decision(3_000, "NotAvailable -> Available; lease live"),
            decision(10_000, "Available -> Unknown because: ami_lost"),
            decision(11_000, "Unknown -> OnCall because: on_call"),
            decision(12_000, "OnCall -> NotAvailable because: sip_down"),
        ];
        let sessions = [online(2_000, 14_000)];
        let drift = drift(&sessions, 0, &lines);
        let by_cause: Vec<_> = drift
            .iter()
            .map(|line| (line.cause.as_str(), line.total_ms))
            .collect();
        assert_eq!(
            by_cause,
            [
                ("ami_lost", 1_000),
                ("not_qualified", 1_000),
                ("sip_down", 2_000)
            ]
        );
        assert!((drift[0].seconds_per_agent_day - 7_200.0).abs() < 0.1);
    }

    #[test]
    fn what_was_shown_when_the_period_began_counts_from_its_beginning() {
        let sessions = [online(2_000, 14_000)];
        let lines = [
            decision(3_000, "Available -> NotAvailable because: sip_down"),
            decision(7_000, "NotAvailable -> Available; lease live"),
        ];
        let drift = drift(&sessions, 6_000, &lines);
        assert_eq!(drift.len(), 1);
        let line = &drift[0];
        assert_eq!((line.cause.as_str(), line.total_ms), ("sip_down", 1_000));
        assert!((line.seconds_per_agent_day - 10_800.0).abs() < 0.1);
    }

    #[test]
    fn sessions_are_counted_within_their_period() {
        let totals = totals(
            &[online(2_000, 14_000), online(16_000, 30_000)],
            4_000,
            20_000,
        );
        assert_eq!(totals.len(), 1);
        assert_eq!((totals[0].logins, totals[0].logouts), (1, 2));
        assert_eq!(totals[0].online_ms, 10_000 + 4_000);
    }
}
