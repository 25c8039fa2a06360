import {
  CircleCheck,
  CircleDashed,
  CircleMinus,
  CirclePause,
  CircleQuestionMark,
  CircleX,
  ClipboardPen,
  LogOut,
  PhoneCall,
  PhoneIncoming,
  type LucideIcon,
} from "lucide-react";

import type { BoardStatus } from "../generated/BoardStatus";
import { text } from "../text";
import { classes } from "./classes";
import css from "./StatusChip.module.css";

/** In the order in which a supervisor reads them. */
export const STATUSES: readonly BoardStatus[] = [
  "Available",
  "OnCall",
  "Ringing",
  "WrapUp",
  "Paused",
  "NotAvailable",
  "Unverified",
  "Unknown",
  "LoggingOut",
  "Offline",
];

const ICONS: Record<BoardStatus, LucideIcon> = {
  Available: CircleCheck,
  OnCall: PhoneCall,
  Ringing: PhoneIncoming,
  WrapUp: ClipboardPen,
  Paused: CirclePause,
  NotAvailable: CircleX,
  Unverified: CircleDashed,
  Unknown: CircleQuestionMark,
  LoggingOut: LogOut,
  Offline: CircleMinus,
};

const TONES: Record<BoardStatus, string | undefined> = {
  Available: css.good,
  OnCall: css.talk,
  Ringing: css.ring,
  WrapUp: css.wrap,
  Paused: css.pause,
  NotAvailable: css.bad,
  Unverified: css.doubt,
  Unknown: css.doubt,
  LoggingOut: css.quiet,
  Offline: css.quiet,
};

/** A board state: always colour and icon and word. */
export function StatusChip({ status, size = "medium" }: { status: BoardStatus; size?: "medium" | "large" }) {
  return (
    <span className={classes(css.chip, TONES[status], size === "large" && css.large)} data-status={status}>
      <StatusIcon status={status} />
      {text.status[status]}
    </span>
  );
}

export function StatusIcon({ status }: { status: BoardStatus }) {
  const Icon = ICONS[status];
  return <Icon aria-hidden />;
}

/** The class that sets `--tone` and `--tone-soft` for a state. */
export function statusTone(status: BoardStatus): string | undefined {
  return TONES[status];
}
