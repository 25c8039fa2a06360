import type { CallView } from "../generated/CallView";
import type { SignIn } from "../generated/SignIn";
import type { SignInStep } from "../generated/SignInStep";
import { Double, type Command } from "./double";
import type { Platform } from "./platform";
import {
  board,
  boardScenes,
  call,
  demo,
  incoming,
  levelsOf,
  login,
  own,
  people,
  phone,
  phoneScenes,
  type PhoneScreenView,
} from "./scenes";

const STEP = 700;
const STEPS: readonly SignInStep[] = ["checkingPassword", "registeringPhone", "tellingServer"];

/**
 * The double for a plain browser: `?window=dashboard` picks the window, `?scene=` a named moment. Without a scene it
 * plays a short day: sign in, dial (600 echoes; 1003 is busy; others answer), be called back by dialling 700.
 */
export function scripted(query: URLSearchParams): Platform {
  const scene = query.get("scene") ?? "";
  if (query.get("window") === "dashboard") {
    const view = (boardScenes[scene] ?? boardScenes.board)?.();
    return new Double("dashboard", undefined, view);
  }
  const fixed = phoneScenes[scene]?.();
  return fixed ? new Double("phone", fixed) : new Script();
}

/** Plays the app, so that the windows can be tried without it. */
class Script extends Double {
  private timers: ReturnType<typeof setTimeout>[] = [];
  private nextCall = 1;

  constructor() {
    super("phone", login({ demo, canTryHere: true }), board());
  }

  protected override perform(command: Command, argument: unknown): void {
    switch (command) {
      case "signIn":
        return this.playSignIn(argument as SignIn);
      case "tryHere":
        return this.play([
          () => this.showPhone(login({ progress: "starting" })),
          () => this.showPhone(login({ demo })),
        ]);
      case "cancelSignIn":
        this.stop();
        return this.showPhone(login({ demo, canTryHere: true }));
      case "signOut":
        return this.play([
          () => this.change({ signingOut: true, calls: [] }),
          () => this.showPhone(login({ demo, canTryHere: true })),
        ]);
      case "dial":
        return this.playDial(argument as string);
      case "answer":
        this.changeCall(argument as number, { state: "active", answeredAt: Date.now(), codec: "Opus" });
        return this.change({ own: own({ status: "OnCall", since: Date.now() }) });
      case "decline":
        return this.endCall(argument as number, "You declined.");
      case "hangUp":
        return this.endCall(argument as number, "You hung up.");
      case "transfer": {
        const { call: id, target: to } = argument as { call: number; target: string };
        this.changeCall(id, { transfer: { to, failed: null } });
        return this.play([() => {}, () => this.endCall(id, `Transferred to ${to}.`)]);
      }
      case "setMuted":
        return this.change({ muted: argument as boolean });
      case "openDashboard":
        globalThis.open("?window=dashboard", "board", "width=960,height=640");
        return;
      case "pause":
        return this.playPause((argument as { reason: string | null }).reason);
      case "takeOver":
        return this.change({ inUse: null, own: own({ since: Date.now() }) });
    }
  }

  /** Asterisk takes a moment to follow. */
  private playPause(reason: string | null): void {
    const since = Date.now();
    if (reason === null) return this.change({ own: own({ since }) });
    const asked = { reason, since, confirmed: false };
    this.play([
      () => this.change({ own: own({ status: "NotAvailable", since, pause: asked, reasons: [{ code: "pause_asked", since }] }) }),
      () => this.change({ own: own({ status: "Paused", since, pause: { ...asked, confirmed: true } }) }),
    ]);
  }

  private playSignIn({ username, password }: SignIn): void {
    const person = demo.people.find((one) => one.username === username);
    const steps = STEPS.map((progress) => () => this.showPhone(login({ username, demo, progress })));
    if (person?.password !== password) {
      const error = {
        code: "wrong_credentials",
        field: "password",
        message: "User name or password is wrong.",
        next: "Check both, and Caps Lock.",
      };
      return this.play([...steps.slice(0, 1), () => this.showPhone(login({ username, demo, canTryHere: true, error }))]);
    }
    const user =
      username === people.supervisor.username
        ? people.supervisor
        : { ...people.agent, username, extension: username.slice(-4) };
    const none = user.extension === null;
    this.play([
      ...steps,
      () =>
        this.showPhone(
          phone({
            user,
            own: own({
              since: Date.now(),
              status: none ? "Offline" : "Available",
              phone: { kind: none ? "none" : "registered" },
            }),
          }),
        ),
    ]);
  }

  private playDial(peer: string): void {
    if (peer === "700") return this.play([() => this.ringHere()]);
    const id = this.nextCall++;
    const peerName = peer === "600" ? "Echo" : null;
    const began = call({ id, peer, peerName, state: "dialing", answeredAt: null, codec: null });
    this.change({ calls: [...this.calls(), began], own: own({ status: "OnCall", since: Date.now() }) });
    this.play([
      () => this.changeCall(id, { state: "ringing" }),
      () =>
        peer === "1003"
          ? this.endCall(id, "1003 is busy.")
          : this.changeCall(id, { state: "active", answeredAt: Date.now(), codec: "Opus" }),
    ]);
  }

  private ringHere(): void {
    this.change({
      calls: [...this.calls(), incoming({ id: this.nextCall++ })],
      own: own({ status: "Ringing", since: Date.now() }),
    });
  }

  private endCall(id: number, ended: string): void {
    this.changeCall(id, { state: "ended", ended });
    this.change({ own: own({ since: Date.now() }), muted: false });
    this.timers.push(setTimeout(() => this.change({ calls: this.calls().filter((one) => one.id !== id) }), 3000));
  }

  private changeCall(id: number, change: Partial<CallView>): void {
    const calls = this.calls().map((one) => (one.id === id && one.state !== "ended" ? { ...one, ...change } : one));
    this.change({ calls });
  }

  private calls(): CallView[] {
    return this.phoneNow.screen.kind === "phone" ? this.phoneNow.screen.calls : [];
  }

  private change(change: Partial<PhoneScreenView>): void {
    const { screen } = this.phoneNow;
    if (screen.kind !== "phone") return;
    const levels = levelsOf(change.calls ?? screen.calls);
    this.showPhone({ ...this.phoneNow, screen: { ...screen, levels, ...change } });
  }

  private play(moments: (() => void)[]): void {
    moments.forEach((moment, index) => this.timers.push(setTimeout(moment, STEP * index)));
  }

  private stop(): void {
    for (const timer of this.timers) clearTimeout(timer);
    this.timers = [];
  }
}
