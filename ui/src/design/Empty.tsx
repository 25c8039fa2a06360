import type { ReactElement, ReactNode } from "react";

import css from "./Empty.module.css";

interface EmptyProps {
  icon: ReactElement;
  title: string;
  what: string;
  action?: ReactNode;
}

/** A place where there is nothing to show, and why. */
export function Empty({ icon, title, what, action }: EmptyProps) {
  return (
    <div className={css.empty} role="status">
      <span className={css.mark}>{icon}</span>
      <p className={css.title}>{title}</p>
      <p className={css.what}>{what}</p>
      {action && <div className={css.action}>{action}</div>}
    </div>
  );
}
