import { CircleCheck, Unplug } from "lucide-react";

import { Elapsed } from "../../design/Elapsed";
import { Notice } from "../../design/Notice";
import type { DashboardView } from "../../generated/DashboardView";
import type { SourceHealth } from "../../generated/SourceHealth";
import { text } from "../../text";
import css from "./DashboardPage.module.css";

type Sources = DashboardView["sources"];
type Seen = SourceHealth | "hearsay";

/** How fresh each source of the board is. */
export function SourceIndicators({ sources }: { sources: Sources }) {
  return (
    <ul className={css.sources} aria-label={text.board.sources}>
      {entries(sources).map(([name, health]) => (
        <li key={name} className={css.source} data-lost={isOk(health) ? undefined : ""} data-source={name}>
          {isOk(health) ? <CircleCheck aria-hidden /> : <Unplug aria-hidden />}
          <span>
            {nameOf(name)} <Freshness health={health} />
          </span>
        </li>
      ))}
    </ul>
  );
}

/** Says what the board does not know, and since when. */
export function LostSources({ sources, synced }: { sources: Sources; synced: boolean }) {
  const server = sources.server;
  if (server && !server.ok) {
    return (
      <Notice severity="error" what={text.board.lostTitle(nameOf("server"))} next={text.board.lostServerWhat} />
    );
  }
  if (!synced) return <Notice severity="warning" what={text.board.syncingTitle} next={text.board.syncingWhat} />;
  const lost = entries(sources).filter(([, health]) => !isOk(health));
  if (lost.length === 0) return null;
  const names = lost.map(([name]) => nameOf(name)).join(", ");
  return <Notice severity="error" what={text.board.lostTitle(names)} next={text.board.lostSourceWhat} />;
}

function Freshness({ health }: { health: Seen }) {
  if (health === "hearsay") return <>{text.board.sourceHearsay}</>;
  if (health.ok) return <>{text.board.sourceOk}</>;
  if (health.asOf === undefined) return <>{text.board.sourceNever}</>;
  return <Elapsed since={health.asOf} words={text.board.sourceLostFor} />;
}

/** The server link first: while it is lost, nothing is known of the others either. */
function entries(sources: Sources): [string, Seen][] {
  const blind = sources.server !== undefined && !sources.server.ok;
  return Object.entries(sources)
    .filter((entry): entry is [string, SourceHealth] => entry[1] !== undefined)
    .map(([name, health]): [string, Seen] => [name, blind && name !== "server" ? "hearsay" : health])
    .sort(([a], [b]) => Number(b === "server") - Number(a === "server") || a.localeCompare(b));
}

function isOk(health: Seen): boolean {
  return health !== "hearsay" && health.ok;
}

function nameOf(source: string): string {
  return text.board.sourceNames[source] ?? source;
}
