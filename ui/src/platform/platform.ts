import type { Available } from "../generated/Available";
import type { DashboardView } from "../generated/DashboardView";
import type { Explanation } from "../generated/Explanation";
import type { PhoneView } from "../generated/PhoneView";
import type { SignIn } from "../generated/SignIn";

export type WindowKind = "phone" | "dashboard";
export type Stop = () => void;

/**
 * What the windows may ask of the app, and what it tells them. A refused command rejects with an `ErrorBody`.
 *
 * Two things keep this promise: the app itself (`tauri.ts`) and a double for browsers and tests (`double.ts`).
 */
export interface Platform {
  readonly window: WindowKind;

  phoneView(): Promise<PhoneView>;
  onPhoneView(listener: (view: PhoneView) => void): Promise<Stop>;
  dashboardView(): Promise<DashboardView>;
  onDashboardView(listener: (view: DashboardView) => void): Promise<Stop>;

  signIn(request: SignIn): Promise<void>;
  cancelSignIn(): Promise<void>;
  signOut(): Promise<void>;
  tryHere(): Promise<void>;
  dial(target: string): Promise<void>;
  answer(call: number): Promise<void>;
  decline(call: number): Promise<void>;
  hangUp(call: number): Promise<void>;
  /** Whether a call may be transferred to an agent, from a check that begins with the question. */
  prove(extension: string): Promise<Available>;
  /** Hands a call on to a number; how that goes is in its view. */
  transfer(call: number, target: string): Promise<void>;
  setMuted(muted: boolean): Promise<void>;
  openDashboard(): Promise<void>;
  takeOver(): Promise<void>;

  /** Pauses an agent for a reason, or ends the pause. */
  pause(extension: string, reason: string | null): Promise<void>;
  /** Why an agent's state is what it is, or was at a moment (ms since the epoch). */
  explain(extension: string, at: number | null): Promise<Explanation>;
}
