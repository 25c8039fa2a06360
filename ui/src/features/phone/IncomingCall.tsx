import { Phone, PhoneIncoming, PhoneOff } from "lucide-react";
import { useEffect, useRef, type RefObject } from "react";
import type { PressEvent } from "react-aria-components";

import { Button } from "../../design/Button";
import { classes } from "../../design/classes";
import type { CallView } from "../../generated/CallView";
import { usePlatform } from "../../platform";
import { text } from "../../text";
import css from "./Calls.module.css";
import { peerName, peerNumber } from "./peer";
import type { Run } from "./run";

/** How long Enter does not answer a call that came into the middle of typing, in ms. */
const TYPING_GUARD = 1000;

interface IncomingCallProps {
  call: CallView;
  /** When a key was last pressed, ms since the epoch. */
  lastKey: RefObject<number>;
  run: Run;
}

/** A call that rings here. It takes the focus, so that Enter answers. */
export function IncomingCall({ call, lastKey, run }: IncomingCallProps) {
  const platform = usePlatform();
  const answer = useRef<HTMLButtonElement>(null);
  const guardedUntil = useRef(0);
  const name = peerName(call);
  const number = peerNumber(call);

  useEffect(() => {
    // Two calls at once: the first one keeps the focus.
    if (document.activeElement?.closest("[data-incoming]")) return;
    // Somebody in the middle of typing a number must not answer by its last Enter.
    if (Date.now() - lastKey.current < TYPING_GUARD) guardedUntil.current = Date.now() + TYPING_GUARD;
    answer.current?.focus();
  }, [lastKey]);

  function onAnswer(event: PressEvent) {
    if (event.pointerType === "keyboard" && Date.now() < guardedUntil.current) return;
    void run(platform.answer(call.id));
  }

  return (
    <article
      className={classes(css.card, css.incoming, css.ringing)}
      aria-label={text.phone.incomingFrom(name)}
      data-incoming
      data-testid="incoming-call"
    >
      <span className={css.pulse}>
        <PhoneIncoming aria-hidden />
      </span>
      <div>
        <p className={css.state}>{text.phone.incoming}</p>
        <p className={css.peer}>{name}</p>
        {number && <p className={css.number}>{number}</p>}
      </div>
      <div className={css.actions}>
        <Button
          look="bad"
          size="large"
          aria-label={text.phone.declineFrom(name)}
          onPress={() => void run(platform.decline(call.id))}
        >
          <PhoneOff aria-hidden />
          {text.phone.decline}
        </Button>
        <Button look="good" size="large" ref={answer} aria-label={text.phone.answerFrom(name)} onPress={onAnswer}>
          <Phone aria-hidden />
          {text.phone.answer}
        </Button>
      </div>
    </article>
  );
}
