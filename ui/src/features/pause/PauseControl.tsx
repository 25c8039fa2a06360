import { Coffee, Pause as PauseIcon, Play } from "lucide-react";

import { Button } from "../../design/Button";
import { ButtonMenu, MenuItem } from "../../design/Menu";
import type { BoardStatus } from "../../generated/BoardStatus";
import type { Pause } from "../../generated/Pause";
import { usePlatform } from "../../platform";
import { text } from "../../text";
import css from "./PauseControl.module.css";

const words = text.pause;

interface PauseControlProps {
  extension: string;
  status: BoardStatus;
  /** What is wanted of the pause. */
  pause: Pause | null | undefined;
  disabled?: boolean;
  /** Runs a command, and shows why it was refused. */
  run: (command: Promise<void>) => Promise<unknown>;
}

/** Asks for a pause, or for its end; what Asterisk makes of it is the board's to say. */
export function PauseControl({ extension, status, pause, disabled, run }: PauseControlProps) {
  const platform = usePlatform();
  const ask = (reason: string | null) => void run(platform.pause(extension, reason));
  const wanted = pause?.reason;
  // Somebody may have paused it in Asterisk.
  const paused = wanted !== undefined || status === "Paused";
  return (
    <div className={css.control}>
      {paused ? (
        <Button size="small" isDisabled={disabled} onPress={() => ask(null)}>
          <Play aria-hidden /> {words.end}
        </Button>
      ) : (
        <ButtonMenu label={words.begin} icon={<PauseIcon aria-hidden />} isDisabled={disabled}>
          {Object.entries(words.reasons).map(([code, name]) => (
            <MenuItem key={code} label={name} icon={<Coffee aria-hidden />} onAction={() => ask(code)} />
          ))}
        </ButtonMenu>
      )}
      <p className={css.said} aria-live="polite">
        {said(pause)}
      </p>
    </div>
  );
}

/** The reason of a pause in words; a code of another client's as it is. */
export function pauseWords(code: string): string {
  return words.reasons[code] ?? code;
}

/** What is wanted, and whether Asterisk is known to do it. */
function said(pause: Pause | null | undefined): string {
  if (!pause) return "";
  if (pause.reason === undefined) return pause.confirmed ? "" : words.endUnconfirmed;
  const name = pauseWords(pause.reason);
  return pause.confirmed ? name : words.unconfirmed(name);
}
