import { Mic, MicOff, Volume2, type LucideIcon } from "lucide-react";

import { classes } from "../../design/classes";
import type { Levels } from "../../generated/Levels";
import { text } from "../../text";
import css from "./SoundLevels.module.css";

/** Steps of a meter, as the app sends them: `Levels::MOST` of the wire. */
const MOST = 8;

/** How loud both directions of a call are: whether the microphone works is seen, and who talks. */
export function SoundLevels({ levels, muted }: { levels: Levels; muted: boolean }) {
  return (
    <div className={css.levels}>
      <Meter
        icon={muted ? MicOff : Mic}
        label={text.phone.microphoneLevel}
        step={levels.microphone}
        tone={muted ? css.unheard : undefined}
      />
      <Meter icon={Volume2} label={text.phone.speakerLevel} step={levels.speaker} />
    </div>
  );
}

interface MeterProps {
  icon: LucideIcon;
  label: string;
  step: number;
  tone?: string | undefined;
}

function Meter({ icon: Icon, label, step, tone }: MeterProps) {
  return (
    <div className={classes(css.meter, tone)} title={label}>
      <Icon aria-hidden />
      <div
        className={css.bar}
        role="meter"
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={MOST}
        aria-valuenow={step}
      >
        {Array.from({ length: MOST }, (_, place) => (
          <span key={place} className={classes(css.step, place < step && css.lit)} />
        ))}
      </div>
    </div>
  );
}
