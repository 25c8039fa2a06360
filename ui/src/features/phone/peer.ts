import type { CallView } from "../../generated/CallView";
import { text } from "../../text";

/** What to call the other side: its name, else its number. */
export function peerName(call: CallView): string {
  return call.peerName?.trim() || call.peer || text.phone.unknownCaller;
}

/** Its number, where the name does not say it already. */
export function peerNumber(call: CallView): string | undefined {
  return call.peer !== "" && call.peer !== peerName(call) ? call.peer : undefined;
}
