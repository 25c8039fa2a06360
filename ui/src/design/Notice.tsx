import { CircleAlert, Info, TriangleAlert, X } from "lucide-react";
import { useState, type ReactNode } from "react";

import type { Notice as NoticeView } from "../generated/Notice";
import { text } from "../text";
import { IconButton } from "./Button";
import { classes } from "./classes";
import css from "./Notice.module.css";

export type NoticeSeverity = "info" | "warning" | "error";

const ICONS = { info: Info, warning: TriangleAlert, error: CircleAlert };

interface NoticeProps {
  severity: NoticeSeverity;
  /** What is the matter, and why. */
  what: string;
  /** What to do about it. */
  next?: ReactNode;
  onDismiss?: () => void;
}

/** Something a person should know now. Problems interrupt a screen reader, the rest waits its turn. */
export function Notice({ severity, what, next, onDismiss }: NoticeProps) {
  const Icon = ICONS[severity];
  return (
    <div className={classes(css.notice, css[severity])} role={severity === "error" ? "alert" : "status"}>
      <Icon aria-hidden />
      <div className={css.words}>
        <p className={css.what}>
          <span className="visually-hidden">{text.severity[severity]}: </span>
          {what}
        </p>
        {next && <div className={css.next}>{next}</div>}
      </div>
      {onDismiss && (
        <span className={css.action}>
          <IconButton label={text.dismiss} icon={<X aria-hidden />} size="small" onPress={onDismiss} />
        </span>
      )}
    </div>
  );
}

/** Those of the app, in its order: the most urgent first. What is only good to know can be put away. */
export function Notices({ notices }: { notices: NoticeView[] }) {
  const [putAway, setPutAway] = useState<readonly string[]>([]);
  const keyOf = ({ error }: NoticeView) => `${error.code} ${error.message}`;
  const shown = notices.filter((notice) => !putAway.includes(keyOf(notice)));
  return shown.map((notice) => (
    <Notice
      key={keyOf(notice)}
      severity={notice.severity}
      what={notice.error.message}
      next={notice.error.next}
      onDismiss={notice.severity === "info" ? () => setPutAway([...putAway, keyOf(notice)]) : undefined}
    />
  ));
}
