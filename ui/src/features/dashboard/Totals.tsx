import { ToggleButton, ToggleButtonGroup } from "react-aria-components";

import { classes } from "../../design/classes";
import { StatusIcon, STATUSES, statusTone } from "../../design/StatusChip";
import type { BoardStatus } from "../../generated/BoardStatus";
import { text } from "../../text";
import css from "./DashboardPage.module.css";

/** Always shown, since a zero of theirs says something; the others only where there are any. */
const ALWAYS: ReadonlySet<BoardStatus> = new Set(["Available", "OnCall", "NotAvailable", "Offline"]);

interface TotalsProps {
  totals: Map<BoardStatus, number>;
  chosen: ReadonlySet<BoardStatus>;
  onChoose: (states: ReadonlySet<BoardStatus>) => void;
}

/** How many there are of each state; pressing one shows only those. */
export function Totals({ totals, chosen, onChoose }: TotalsProps) {
  const shown = STATUSES.filter((status) => ALWAYS.has(status) || totals.has(status) || chosen.has(status));
  return (
    <ToggleButtonGroup
      className={css.totals}
      aria-label={text.board.totals}
      selectionMode="multiple"
      selectedKeys={chosen}
      onSelectionChange={(keys) => onChoose(keys as Set<BoardStatus>)}
    >
      {shown.map((status) => {
        const count = totals.get(status) ?? 0;
        return (
          <ToggleButton
            key={status}
            id={status}
            className={classes(css.total, statusTone(status))}
          >
            <StatusIcon status={status} />
            {text.status[status]}{" "}
            <span className={classes(css.totalCount, "numbers")}>{count}</span>
          </ToggleButton>
        );
      })}
    </ToggleButtonGroup>
  );
}
