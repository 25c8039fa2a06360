import type { Agent } from "../../generated/Agent";
import type { BoardStatus } from "../../generated/BoardStatus";
import type { DashboardView } from "../../generated/DashboardView";
import { STATUSES } from "../../design/StatusChip";
import { text } from "../../text";
import { reasonWords } from "../../text/format";

/** An agent as the board may show it now. */
export interface Row {
  agent: Agent;
  /** `Unknown` while the server is out of sight or the board is not whole, whatever was last said. */
  status: BoardStatus;
  /** What was last said, where that is no longer known to be so. */
  was?: BoardStatus | undefined;
  /** Since when `status` holds, ms since the epoch. */
  since: number;
}

export type Column = "extension" | "status" | "reasons" | "since" | "device" | "contact";

export interface Order {
  column: Column;
  direction: "ascending" | "descending";
}

/** Whether nothing of the board is known now: the server is out of sight, or its snapshot has not come yet. */
export function isBlind(view: DashboardView): boolean {
  return !view.synced || view.sources.server?.ok === false;
}

/** Never a stale green: what is not heard is unknown, since it was last heard. */
export function rowsOf(view: DashboardView): Row[] {
  const blind = isBlind(view);
  const server = view.sources.server;
  const lost = server && !server.ok ? server.asOf : undefined;
  return view.agents.map((agent) => {
    if (!blind) return { agent, status: agent.status, since: agent.since };
    return { agent, status: "Unknown", since: lost ?? agent.since, was: view.was[agent.extension] };
  });
}

/** How many rows there are of each state. */
export function totalsOf(rows: Row[]): Map<BoardStatus, number> {
  const totals = new Map<BoardStatus, number>();
  for (const { status } of rows) totals.set(status, (totals.get(status) ?? 0) + 1);
  return totals;
}

/** The rows of these states (none chosen: of all) that contain every word of the search. */
export function filtered(rows: Row[], states: ReadonlySet<BoardStatus>, search: string): Row[] {
  const words = search.toLocaleLowerCase().split(/\s+/).filter(Boolean);
  return rows.filter((row) => {
    if (states.size > 0 && !states.has(row.status)) return false;
    const haystack = searchable(row);
    return words.every((word) => haystack.includes(word));
  });
}

export function sorted(rows: Row[], { column, direction }: Order): Row[] {
  const sign = direction === "ascending" ? 1 : -1;
  return [...rows].sort((a, b) => sign * COMPARE[column](a, b) || byExtension(a, b));
}

/** Our own phones name themselves in their User-Agent, so that Asterisk keeps it; nobody reads a UUID. */
const DEVICE_ID = / \(device [^)]*\)$/;

export function deviceName(row: Row): string {
  const device = row.agent.devices[0];
  if (!device) return "";
  return device.userAgent?.replace(DEVICE_ID, "") ?? text.board.deviceId(device.id.slice(0, 8));
}

const natural = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

const byExtension = (a: Row, b: Row) => natural.compare(a.agent.extension, b.agent.extension);

const COMPARE: Record<Column, (a: Row, b: Row) => number> = {
  extension: byExtension,
  status: (a, b) => STATUSES.indexOf(a.status) - STATUSES.indexOf(b.status),
  reasons: (a, b) => natural.compare(reasonsText(a), reasonsText(b)),
  // The column shows a length of time: ascending is the shortest first.
  since: (a, b) => b.since - a.since,
  device: (a, b) => natural.compare(deviceName(a), deviceName(b)),
  contact: (a, b) => natural.compare(contactText(a), contactText(b)),
};

function searchable(row: Row): string {
  return [row.agent.extension, text.status[row.status], reasonsText(row), deviceName(row), contactText(row)]
    .join(" ")
    .toLocaleLowerCase();
}

function reasonsText(row: Row): string {
  return row.agent.reasons.map((reason) => `${reasonWords(reason).what} ${reason.code}`).join(" ");
}

function contactText(row: Row): string {
  return text.contact[row.agent.contactStatus];
}
