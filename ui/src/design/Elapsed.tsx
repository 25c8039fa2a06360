import { useSyncExternalStore } from "react";

import { duration, isoDuration } from "../text/format";

/** The time since a moment, ticking. Not a live region: a screen reader reads it when asked. */
export function Elapsed({ since, words = (passed) => passed }: { since: number; words?: (passed: string) => string }) {
  const now = useNow();
  return <time dateTime={isoDuration(since, now)}>{words(duration(since, now))}</time>;
}

/** The present second. One clock for the window, running only while something shows it. */
export function useNow(): number {
  return useSyncExternalStore(clock.subscribe, clock.now);
}

const clock = (() => {
  const listeners = new Set<() => void>();
  let timer: ReturnType<typeof setInterval> | undefined;
  let now = Date.now();

  function tick() {
    now = Date.now();
    for (const listener of listeners) listener();
  }

  return {
    subscribe(listener: () => void) {
      if (listeners.size === 0) {
        tick();
        timer = setInterval(tick, 1000);
      }
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
        if (listeners.size === 0) clearInterval(timer);
      };
    },
    now: () => now,
  };
})();
