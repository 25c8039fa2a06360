import { Label, ProgressBar } from "react-aria-components";

import css from "./controls.module.css";

/** Something is going on, and nobody knows how long it takes. */
export function Progress({ label }: { label: string }) {
  return (
    <ProgressBar isIndeterminate className={css.progress}>
      <Label className={css.label}>{label}</Label>
      <div className={css.track} />
    </ProgressBar>
  );
}
