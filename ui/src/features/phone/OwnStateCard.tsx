import type { ReactNode } from "react";

import { Elapsed } from "../../design/Elapsed";
import { StatusChip } from "../../design/StatusChip";
import type { OwnState } from "../../generated/OwnState";
import { text } from "../../text";
import { reasonWords, tellingReasons } from "../../text/format";
import css from "./PhonePage.module.css";

/** What the board says about this person, why, and what to do. */
export function OwnStateCard({ own, children }: { own: OwnState; children?: ReactNode }) {
  const reasons = tellingReasons(own.status, own.reasons);
  return (
    <section className={css.state} aria-label={text.phone.yourState}>
      <div className={css.stateLine}>
        <span role="status">
          <StatusChip status={own.status} size="large" />
        </span>
        <span className={css.stateSince}>
          <Elapsed since={own.since} words={text.phone.since} />
        </span>
      </div>
      {reasons.length > 0 && (
        <ul className={css.reasons}>
          {reasons.map((reason) => {
            const { what, next } = reasonWords(reason);
            return (
              <li key={reason.code}>
                <span className={css.reasonWhat}>{what}</span> {next && <span className={css.reasonNext}>{next}</span>}
              </li>
            );
          })}
        </ul>
      )}
      {children}
    </section>
  );
}
