import { invoke } from "@tauri-apps/api/core";
import { getCurrentWebviewWindow } from "@tauri-apps/api/webviewWindow";

import type { DashboardView } from "../generated/DashboardView";
import type { PhoneView } from "../generated/PhoneView";
import type { Platform, WindowKind } from "./platform";

/** The app. The names are those of `crates/wire/src/ui.rs`. */
export function tauri(): Platform {
  const here = getCurrentWebviewWindow();
  const kind: WindowKind = here.label === "dashboard" ? "dashboard" : "phone";
  return {
    window: kind,
    phoneView: () => invoke("phone_view"),
    onPhoneView: (listener) => here.listen<PhoneView>("phone-view", (event) => listener(event.payload)),
    dashboardView: () => invoke("dashboard_view"),
    onDashboardView: (listener) => here.listen<DashboardView>("dashboard-view", (event) => listener(event.payload)),
    signIn: (request) => invoke("sign_in", { request }),
    cancelSignIn: () => invoke("cancel_sign_in"),
    signOut: () => invoke("sign_out"),
    tryHere: () => invoke("try_here"),
    dial: (target) => invoke("dial", { target }),
    answer: (call) => invoke("answer", { call }),
    decline: (call) => invoke("decline", { call }),
    hangUp: (call) => invoke("hang_up", { call }),
    prove: (extension) => invoke("prove", { extension }),
    transfer: (call, target) => invoke("transfer", { call, target }),
    setMuted: (muted) => invoke("set_muted", { muted }),
    openDashboard: () => invoke("open_dashboard"),
    takeOver: () => invoke("take_over"),
    pause: (extension, reason) => invoke("pause", { extension, reason }),
    explain: (extension, at) => invoke("explain", { extension, at }),
  };
}
