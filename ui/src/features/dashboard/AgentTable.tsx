import {
  ArrowDown,
  ArrowUp,
  CircleCheck,
  CircleDashed,
  CircleQuestionMark,
  CircleX,
  TimerOff,
  UserSearch,
  type LucideIcon,
} from "lucide-react";
import { Cell, Column, Row as TableRow, Table, TableBody, TableHeader } from "react-aria-components";

import { Button } from "../../design/Button";
import { Elapsed } from "../../design/Elapsed";
import { Empty } from "../../design/Empty";
import { StatusChip } from "../../design/StatusChip";
import type { ContactStatus } from "../../generated/ContactStatus";
import { text } from "../../text";
import { reasonWords, tellingReasons } from "../../text/format";
import css from "./AgentTable.module.css";
import { pauseWords } from "../pause/PauseControl";
import { deviceName, type Column as ColumnName, type Order, type Row } from "./board";

const COLUMNS: readonly ColumnName[] = ["extension", "status", "reasons", "since", "device", "contact"];

interface AgentTableProps {
  rows: Row[];
  order: Order;
  onOrder: (order: Order) => void;
  /** Nobody is on the board at all, whatever the search says. */
  deserted: boolean;
  onClear: () => void;
  /** A row was chosen, by pointer or key. */
  onChoose: (extension: string) => void;
}

export function AgentTable({ rows, order, onOrder, deserted, onClear, onChoose }: AgentTableProps) {
  return (
    <Table
      className={css.table}
      aria-label={text.board.table}
      onRowAction={(key) => onChoose(String(key))}
      sortDescriptor={order}
      onSortChange={({ column, direction }) => onOrder({ column: column as ColumnName, direction })}
    >
      <TableHeader>
        {COLUMNS.map((column) => (
          <Column key={column} id={column} className={css.column} isRowHeader={column === "extension"} allowsSorting>
            {({ sortDirection }) => (
              <span className={css.columnName}>
                {text.board.columns[column]}
                {sortDirection === "descending" ? <ArrowDown aria-hidden /> : <ArrowUp aria-hidden />}
              </span>
            )}
          </Column>
        ))}
      </TableHeader>
      <TableBody items={rows} renderEmptyState={() => <Nobody deserted={deserted} onClear={onClear} />}>
        {(row) => (
          <TableRow id={row.agent.extension} className={css.row} textValue={row.agent.extension}>
            <Cell className={css.cell}>
              <span className={css.extension}>{row.agent.extension}</span>
            </Cell>
            <Cell className={css.cell}>
              <span className={css.status}>
                <StatusChip status={row.status} />
                {row.was && <span className={css.was}>{text.board.was(text.status[row.was])}</span>}
              </span>
            </Cell>
            <Cell className={css.cell}>
              <Reasons row={row} />
            </Cell>
            <Cell className={css.cell}>
              <span className={css.since}>
                <Elapsed since={row.since} />
              </span>
            </Cell>
            <Cell className={css.cell}>
              <DeviceOf row={row} />
            </Cell>
            <Cell className={css.cell}>
              <Contact status={row.was ? "Unknown" : row.agent.contactStatus} />
            </Cell>
          </TableRow>
        )}
      </TableBody>
    </Table>
  );
}

function Reasons({ row }: { row: Row }) {
  const { status, pause } = row.agent;
  return (
    <ul className={css.reasons}>
      {status === "Paused" && pause?.reason && <li>{pauseWords(pause.reason)}</li>}
      {tellingReasons(row.agent.status, row.agent.reasons).map((reason) => (
        <li key={reason.code}>{reasonWords(reason).what}</li>
      ))}
    </ul>
  );
}

function DeviceOf({ row }: { row: Row }) {
  const [device, ...others] = row.agent.devices;
  if (!device) return <span className={css.none}>{text.board.noDevice}</span>;
  return (
    <div className={css.device}>
      {deviceName(row)}
      {!device.lease && !row.was && <div className={css.lost}>{text.board.noLease}</div>}
      {others.length > 0 && <div className={css.more}>{text.board.moreDevices(others.length)}</div>}
    </div>
  );
}

const CONTACT_ICONS: Record<ContactStatus, LucideIcon> = {
  Reachable: CircleCheck,
  Unreachable: CircleX,
  NonQualified: CircleDashed,
  Expired: TimerOff,
  Unknown: CircleQuestionMark,
};

function Contact({ status }: { status: ContactStatus }) {
  const Icon = CONTACT_ICONS[status];
  return (
    <span className={css.contact} data-contact={status}>
      <Icon aria-hidden />
      {text.contact[status]}
    </span>
  );
}

function Nobody({ deserted, onClear }: { deserted: boolean; onClear: () => void }) {
  const icon = <UserSearch aria-hidden />;
  if (deserted) return <Empty icon={icon} title={text.board.emptyTitle} what={text.board.emptyWhat} />;
  return (
    <Empty
      icon={icon}
      title={text.board.noMatchTitle}
      what={text.board.noMatchWhat}
      action={<Button onPress={onClear}>{text.board.clearFilters}</Button>}
    />
  );
}
