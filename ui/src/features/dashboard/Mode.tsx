import { text } from "../../text";
import css from "./DashboardPage.module.css";

/** Where Asterisk keeps contacts, and so what "registered" stands on here. */
export function Mode({ mode }: { mode: string | null }) {
  if (mode === null) return null;
  const known = text.board.modes[mode];
  return (
    <span className={css.mode} data-mode={mode} title={known?.what}>
      <span className="visually-hidden">{text.board.mode}: </span>
      {known?.name ?? mode}
      {known && <span className="visually-hidden">. {known.what}</span>}
    </span>
  );
}
