import type { BoardStatus } from "../generated/BoardStatus";
import type { ErrorBody } from "../generated/ErrorBody";
import type { Reason } from "../generated/Reason";
import type { ReasonWords } from "./english";
import { text } from "./index";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** `mm:ss` below an hour, `h:mm:ss` below a day, then days and hours. Clock skew never makes it negative. */
export function duration(from: number, now: number): string {
  const passed = Math.max(0, now - from);
  if (passed >= DAY) {
    const days = Math.floor(passed / DAY);
    const hours = Math.floor((passed % DAY) / HOUR);
    return `${days} ${text.duration.dayShort} ${hours} ${text.duration.hourShort}`;
  }
  const minutes = Math.floor((passed % HOUR) / MINUTE);
  const seconds = Math.floor((passed % MINUTE) / SECOND);
  if (passed >= HOUR) {
    return `${Math.floor(passed / HOUR)}:${two(minutes)}:${two(seconds)}`;
  }
  return `${two(minutes)}:${two(seconds)}`;
}

/** A moment of today by its time, an older one with its date. */
export function moment(at: number, now: number): string {
  const then = new Date(at);
  const time = `${two(then.getHours())}:${two(then.getMinutes())}:${two(then.getSeconds())}`;
  if (then.toDateString() === new Date(now).toDateString()) return time;
  return `${then.getFullYear()}-${two(then.getMonth() + 1)}-${two(then.getDate())} ${time}`;
}

/** The value of a `datetime-local` field for a moment. */
export function fieldOfMoment(at: number): string {
  const then = new Date(at);
  const day = `${then.getFullYear()}-${two(then.getMonth() + 1)}-${two(then.getDate())}`;
  return `${day}T${two(then.getHours())}:${two(then.getMinutes())}:${two(then.getSeconds())}`;
}

/** The same length of time in the machine-readable form that `<time datetime>` wants. */
export function isoDuration(from: number, now: number): string {
  return `PT${Math.floor(Math.max(0, now - from) / SECOND)}S`;
}

/** Reasons that only say the state's own word again; beside the chip they tell nobody anything. */
const SAYS_THE_STATE: Partial<Record<BoardStatus, string>> = {
  OnCall: "on_call",
  Ringing: "ringing",
  Paused: "paused",
};

/** The reasons that say more than the state beside them. */
export function tellingReasons(status: BoardStatus, reasons: readonly Reason[]): readonly Reason[] {
  return reasons.filter((reason) => reason.code !== SAYS_THE_STATE[status]);
}

/** A reason in words: the server's own sentence where there is one, else ours for its code. */
export function reasonWords(reason: Reason): ReasonWords {
  const known = text.reasons[reason.code];
  const what = reason.message ? sentence(reason.message) : (known?.what ?? sentence(reason.code.replaceAll("_", " ")));
  return { what, next: known?.next };
}

/** An error's two sentences as one text. */
export function errorSentence(error: ErrorBody): string {
  return error.next ? `${error.message} ${error.next}` : error.message;
}

/** Whatever a command was refused with, as an error that can be shown. */
export function asError(refusal: unknown): ErrorBody {
  if (typeof refusal === "object" && refusal !== null && "code" in refusal && "message" in refusal) {
    const { code, message } = refusal;
    if (typeof code === "string" && typeof message === "string") return refusal as ErrorBody;
  }
  return text.unexpected;
}

/** A capital and a full stop, for words that come without. */
function sentence(words: string): string {
  const begun = words.charAt(0).toUpperCase() + words.slice(1);
  return /[.!?…]$/.test(begun) ? begun : `${begun}.`;
}

function two(number: number): string {
  return String(number).padStart(2, "0");
}
