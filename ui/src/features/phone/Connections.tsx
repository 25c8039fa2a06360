import { CircleCheck, CircleX, LoaderCircle, Minus, type LucideIcon } from "lucide-react";

import { useNow } from "../../design/Elapsed";
import type { OwnState } from "../../generated/OwnState";
import type { PhoneState } from "../../generated/PhoneState";
import { text } from "../../text";
import { duration } from "../../text/format";
import css from "./PhonePage.module.css";

type LinkState = "good" | "busy" | "bad" | "none";

const ICONS: Record<LinkState, LucideIcon> = { good: CircleCheck, busy: LoaderCircle, bad: CircleX, none: Minus };
const PHONE: Record<PhoneState["kind"], LinkState> = {
  none: "none",
  registering: "busy",
  registered: "good",
  failed: "bad",
};

/** The two links that a phone lives by: to its registrar and to the server. */
export function Connections({ own }: { own: OwnState }) {
  const { server, phone } = own;
  return (
    <footer className={css.footer} aria-label={text.phone.links}>
      <Link state={PHONE[phone.kind]} words={text.phone.phoneLink[phone.kind]} />
      {server.ok ? (
        <Link state="good" words={text.phone.serverLink.ok} />
      ) : server.asOf === undefined ? (
        <Link state="bad" words={text.phone.serverLink.lost} />
      ) : (
        <LostServer asOf={server.asOf} />
      )}
    </footer>
  );
}

function LostServer({ asOf }: { asOf: number }) {
  const now = useNow();
  return <Link state="bad" words={text.phone.serverLink.lostFor(duration(asOf, now))} />;
}

function Link({ state, words }: { state: LinkState; words: string }) {
  const Icon = ICONS[state];
  return (
    <span className={css.link} data-state={state}>
      <Icon aria-hidden />
      {words}
    </span>
  );
}
