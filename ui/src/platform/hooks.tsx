import { createContext, useCallback, useContext, useEffect, useState, type ReactNode } from "react";

import type { DashboardView } from "../generated/DashboardView";
import type { ErrorBody } from "../generated/ErrorBody";
import type { PhoneView } from "../generated/PhoneView";
import { asError } from "../text/format";
import type { Platform, Stop } from "./platform";

const PlatformContext = createContext<Platform | null>(null);

export function PlatformProvider({ platform, children }: { platform: Platform; children: ReactNode }) {
  return <PlatformContext value={platform}>{children}</PlatformContext>;
}

export function usePlatform(): Platform {
  const platform = useContext(PlatformContext);
  if (!platform) throw new Error("no PlatformProvider around this component");
  return platform;
}

/** A view, while it is loading, or once it could not be had. */
export type Loaded<View> =
  | { kind: "loading" }
  | { kind: "ready"; view: View }
  | { kind: "failed"; error: ErrorBody; retry: () => void };

export function usePhoneView(): Loaded<PhoneView> {
  const platform = usePlatform();
  return useView(
    useCallback(() => platform.phoneView(), [platform]),
    useCallback((listener) => platform.onPhoneView(listener), [platform]),
  );
}

export function useDashboardView(): Loaded<DashboardView> {
  const platform = usePlatform();
  return useView(
    useCallback(() => platform.dashboardView(), [platform]),
    useCallback((listener) => platform.onDashboardView(listener), [platform]),
  );
}

/** Listens first and asks second, so that no view is missed; an answer older than an event is dropped. */
function useView<View>(
  ask: () => Promise<View>,
  listen: (listener: (view: View) => void) => Promise<Stop>,
): Loaded<View> {
  const [loaded, setLoaded] = useState<Loaded<View>>({ kind: "loading" });
  const [attempt, setAttempt] = useState(0);

  useEffect(() => {
    let over = false;
    let told = false;
    let stop: Stop | undefined;
    const show = (view: View) => !over && setLoaded({ kind: "ready", view });

    async function begin() {
      const stopListening = await listen((view) => {
        told = true;
        show(view);
      });
      if (over) return stopListening();
      stop = stopListening;
      const view = await ask();
      if (!told) show(view);
    }

    begin().catch((refusal: unknown) => {
      if (over || told) return;
      const retry = () => {
        setLoaded({ kind: "loading" });
        setAttempt((n) => n + 1);
      };
      setLoaded({ kind: "failed", error: asError(refusal), retry });
    });
    return () => {
      over = true;
      stop?.();
    };
  }, [ask, listen, attempt]);

  return loaded;
}

/** Runs a command and keeps what the last one was refused with. */
export function useCommand() {
  const [error, setError] = useState<ErrorBody | null>(null);
  const [running, setRunning] = useState(false);
  const run = useCallback(async (command: Promise<void>): Promise<boolean> => {
    setError(null);
    setRunning(true);
    try {
      await command;
      return true;
    } catch (refusal) {
      setError(asError(refusal));
      return false;
    } finally {
      setRunning(false);
    }
  }, []);
  const forget = useCallback(() => setError(null), []);
  return { run, running, error, forget };
}
