import { useEffect, useSyncExternalStore } from "react";

export type Theme = "system" | "light" | "dark";

const KEY = "rollcall.theme";
const listeners = new Set<() => void>();

/** The chosen theme; both windows follow a change in either. */
export function useTheme(): [Theme, (theme: Theme) => void] {
  const theme = useSyncExternalStore(subscribe, storedTheme);
  useEffect(() => apply(theme), [theme]);
  return [theme, chooseTheme];
}

/** Before the first paint, so that nothing flashes. */
export function applyStoredTheme(): void {
  apply(storedTheme());
  // Another window of the app may change it while no component here is listening.
  addEventListener("storage", () => apply(storedTheme()));
}

function chooseTheme(theme: Theme): void {
  localStorage.setItem(KEY, theme);
  for (const listener of listeners) listener();
}

function storedTheme(): Theme {
  const stored = localStorage.getItem(KEY);
  return stored === "light" || stored === "dark" ? stored : "system";
}

function apply(theme: Theme): void {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  addEventListener("storage", listener);
  return () => {
    listeners.delete(listener);
    removeEventListener("storage", listener);
  };
}
