import { Users } from "lucide-react";
import { useMemo, useState, type ReactNode } from "react";

import { Empty } from "../../design/Empty";
import { SearchField } from "../../design/fields";
import { Progress } from "../../design/Progress";
import type { BoardStatus } from "../../generated/BoardStatus";
import type { DashboardView } from "../../generated/DashboardView";
import { text } from "../../text";
import { AgentTable } from "./AgentTable";
import { filtered, rowsOf, sorted, totalsOf, type Order } from "./board";
import css from "./DashboardPage.module.css";
import { Explain } from "./Explain";
import { Mode } from "./Mode";
import { LostSources, SourceIndicators } from "./Sources";
import { Totals } from "./Totals";

const NO_STATES: ReadonlySet<BoardStatus> = new Set();

export function DashboardPage({ view }: { view: DashboardView }) {
  if (!view.signedIn) {
    return (
      <Whole>
        <Empty icon={<Users aria-hidden />} title={text.board.signedOutTitle} what={text.board.signedOutWhat} />
      </Whole>
    );
  }
  // Without a snapshot there is nothing true to show, unless we still have what was last seen.
  if (!view.synced && view.agents.length === 0) {
    return (
      <Whole>
        <div className={css.waiting} role="status">
          <Progress label={`${text.board.waiting} …`} />
        </div>
      </Whole>
    );
  }
  return <Board view={view} />;
}

function Board({ view }: { view: DashboardView }) {
  const [search, setSearch] = useState("");
  const [states, setStates] = useState(NO_STATES);
  const [order, setOrder] = useState<Order>({ column: "extension", direction: "ascending" });

  const [chosen, setChosen] = useState<string | null>(null);

  const rows = useMemo(() => rowsOf(view), [view]);
  const totals = useMemo(() => totalsOf(rows), [rows]);
  const shown = useMemo(() => sorted(filtered(rows, states, search), order), [rows, states, search, order]);

  function clear() {
    setSearch("");
    setStates(NO_STATES);
  }

  return (
    <div className={css.page}>
      <header className={css.header}>
        <div className={css.top}>
          <h1 className={css.title}>{text.board.heading}</h1>
          <p className={css.count} role="status">
            {text.board.agentsOf(shown.length, rows.length)}
          </p>
          <div className={css.search}>
            <SearchField
              label={text.board.search}
              placeholder={text.board.searchPlaceholder}
              value={search}
              onChange={setSearch}
            />
          </div>
          <div className={css.seen}>
            <Mode mode={view.mode} />
            <SourceIndicators sources={view.sources} />
          </div>
        </div>
        <Totals totals={totals} chosen={states} onChoose={setStates} />
      </header>
      <div className={css.banners}>
        <LostSources sources={view.sources} synced={view.synced} />
      </div>
      <main className={css.body}>
        <AgentTable rows={shown} order={order} onOrder={setOrder} deserted={rows.length === 0} onClear={clear} onChoose={setChosen} />
      </main>
      <Explain
        row={rows.find((row) => row.agent.extension === chosen)}
        mayPause={view.role === "supervisor" || view.role === "admin"}
        onClose={() => setChosen(null)}
      />
    </div>
  );
}

function Whole({ children }: { children: ReactNode }) {
  return (
    <main className={css.whole}>
      <h1 className="visually-hidden">{text.board.heading}</h1>
      {children}
    </main>
  );
}
