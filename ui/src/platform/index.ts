import { isTauri } from "@tauri-apps/api/core";

import type { Platform } from "./platform";

export type { Platform, WindowKind } from "./platform";
export { PlatformProvider, usePlatform, usePhoneView, useDashboardView, useCommand } from "./hooks";

/** The platform this page runs on; none in a plain browser, but for development. */
export async function findPlatform(): Promise<Platform | undefined> {
  if (isTauri()) return (await import("./tauri")).tauri();
  if (import.meta.env.MODE === "production") return undefined;
  return (await import("./script")).scripted(new URLSearchParams(location.search));
}
