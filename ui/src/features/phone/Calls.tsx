import { Mic, MicOff, PauseCircle, PhoneCall, PhoneForwarded, PhoneOff, PhoneOutgoing, type LucideIcon } from "lucide-react";
import { useEffect, useRef, useState } from "react";

import { Button, ToggleButton } from "../../design/Button";
import { classes } from "../../design/classes";
import { Elapsed } from "../../design/Elapsed";
import type { CallState } from "../../generated/CallState";
import type { CallView } from "../../generated/CallView";
import type { Colleague } from "../../generated/Colleague";
import type { Levels } from "../../generated/Levels";
import { usePlatform } from "../../platform";
import { text } from "../../text";
import css from "./Calls.module.css";
import { IncomingCall } from "./IncomingCall";
import { peerName, peerNumber } from "./peer";
import type { Run } from "./run";
import { SoundLevels } from "./SoundLevels";
import { TransferDialog } from "./TransferDialog";

/** What the microphone and the loudspeaker do. */
interface Sound {
  muted: boolean;
  speakingMuted: boolean;
  levels: Levels | null;
}

interface CallsProps {
  calls: CallView[];
  colleagues: Colleague[];
  sound: Sound;
  run: Run;
}

/** Every call, those that ring here first: they want an answer. */
export function Calls({ calls, colleagues, sound, run }: CallsProps) {
  const incoming = calls.filter(ringsHere);
  const others = calls.filter((call) => !ringsHere(call));
  const lastKey = useLastKey();
  return (
    <>
      {/* Stays in the page, so that a screen reader notices what comes into it. */}
      <div className="visually-hidden" aria-live="assertive">
        {incoming.map((call) => text.phone.incomingFrom(announced(call))).join(". ")}
      </div>
      {calls.length > 0 && (
        <section className={css.calls} aria-label={text.phone.calls}>
          {incoming.map((call) => (
            <IncomingCall key={call.id} call={call} lastKey={lastKey} run={run} />
          ))}
          {others.map((call) => (
            <CallCard key={call.id} call={call} colleagues={colleagues} sound={sound} run={run} />
          ))}
        </section>
      )}
    </>
  );
}

const ICONS: Record<CallState, LucideIcon> = {
  dialing: PhoneOutgoing,
  ringing: PhoneOutgoing,
  active: PhoneCall,
  heldByPeer: PauseCircle,
  ended: PhoneOff,
};

interface CallCardProps {
  call: CallView;
  colleagues: Colleague[];
  sound: Sound;
  run: Run;
}

function CallCard({ call, colleagues, sound, run }: CallCardProps) {
  const [choosing, setChoosing] = useState(false);
  const { muted, speakingMuted, levels } = sound;
  const platform = usePlatform();
  const name = peerName(call);
  const number = peerNumber(call);
  const Icon = ICONS[call.state];
  const talking = call.state === "active" || call.state === "heldByPeer";
  const transferring = call.transfer !== null && call.transfer.failed === null;

  return (
    <article
      className={classes(css.card, css[call.state])}
      aria-label={text.phone.callWith(name)}
      data-testid="call-card"
      data-call-state={call.state}
    >
      <p className={css.state} role="status">
        <Icon aria-hidden />
        {stateWords(call)}
      </p>
      <div>
        <p className={css.peer}>{name}</p>
        {number && <p className={css.number}>{number}</p>}
      </div>
      {call.ended !== null && <p className={css.why}>{call.ended}</p>}
      {talking && (
        <div className={css.facts}>
          {call.answeredAt !== null && (
            <span className={css.timer} role="timer" aria-label={text.phone.callDuration}>
              <Elapsed since={call.answeredAt} />
            </span>
          )}
          {call.codec !== null && (
            <span className={css.codec}>
              <span className="visually-hidden">{text.phone.codec} </span>
              {call.codec}
            </span>
          )}
        </div>
      )}
      {talking && levels !== null && <SoundLevels levels={levels} muted={muted} />}
      {call.state !== "ended" && (
        <div className={css.actions}>
          {talking && (
            <ToggleButton size="large" isSelected={muted} onChange={(next) => void run(platform.setMuted(next))}>
              {muted ? <MicOff aria-hidden /> : <Mic aria-hidden />}
              {text.phone.mute}
            </ToggleButton>
          )}
          {talking && (
            <Button
              size="large"
              aria-label={text.phone.transferCall(name)}
              isDisabled={transferring}
              onPress={() => setChoosing(true)}
            >
              <PhoneForwarded aria-hidden />
              {text.phone.transfer}
            </Button>
          )}
          <Button
            look="bad"
            size="large"
            aria-label={text.phone.hangUpOn(name)}
            onPress={() => void run(platform.hangUp(call.id))}
          >
            <PhoneOff aria-hidden />
            {text.phone.hangUp}
          </Button>
        </div>
      )}
      <p className={classes(css.why, css.status)} role="status">
        {talking && transferring && text.phone.transferring(call.transfer?.to ?? "")}
      </p>
      {talking && call.transfer?.failed && (
        <p className={css.unheard} role="alert">
          <PhoneForwarded aria-hidden />
          {text.phone.transferFailed(call.transfer.to, call.transfer.failed)}
        </p>
      )}
      {talking && (
        <TransferDialog call={call} colleagues={colleagues} isOpen={choosing} onClose={() => setChoosing(false)} />
      )}
      {talking && muted && !speakingMuted && <p className={css.why}>{text.phone.muted}</p>}
      {talking && speakingMuted && (
        <p className={css.unheard} role="alert">
          <MicOff aria-hidden />
          {text.phone.speakingMuted}
        </p>
      )}
    </article>
  );
}

/** When a key was last pressed in this window. */
function useLastKey() {
  const last = useRef(0);
  useEffect(() => {
    const note = () => (last.current = Date.now());
    addEventListener("keydown", note, { capture: true });
    return () => removeEventListener("keydown", note, { capture: true });
  }, []);
  return last;
}

function ringsHere(call: CallView): boolean {
  return call.direction === "in" && call.state === "ringing";
}

function stateWords(call: CallView): string {
  const words = text.phone.callStates;
  if (call.state === "ringing") return words.ringingOut;
  return words[call.state];
}

function announced(call: CallView): string {
  return [peerName(call), peerNumber(call)].filter(Boolean).join(", ");
}
