import type { Available } from "../generated/Available";
import type { BoardStatus } from "../generated/BoardStatus";
import type { DashboardView } from "../generated/DashboardView";
import type { ErrorBody } from "../generated/ErrorBody";
import type { PhoneView } from "../generated/PhoneView";
import type { SignIn } from "../generated/SignIn";
import type { Platform, WindowKind } from "./platform";
import { explanation, pastExplanation } from "./explanations";
import { agent, board, login } from "./scenes";

type Told = "window" | "phoneView" | "onPhoneView" | "dashboardView" | "onDashboardView";
export type Command = Exclude<keyof Platform, Told>;

/** Stands in for the app: shows the views it is given, and remembers what it was asked for. */
export class Double implements Platform {
  readonly asked: [Command, unknown?][] = [];
  private readonly phoneListeners = new Set<(view: PhoneView) => void>();
  private readonly boardListeners = new Set<(view: DashboardView) => void>();
  private readonly proofs = new Map<string, BoardStatus>();
  private readonly refusals = new Map<Command, ErrorBody>();

  constructor(
    readonly window: WindowKind,
    protected phoneNow: PhoneView = login(),
    protected boardNow: DashboardView = board(),
  ) {}

  /** The app sends a new view. */
  showPhone(view: PhoneView): void {
    this.phoneNow = view;
    for (const listener of this.phoneListeners) listener(view);
  }

  showBoard(view: DashboardView): void {
    this.boardNow = view;
    for (const listener of this.boardListeners) listener(view);
  }

  /** From now on, asking for a proof finds this, whatever the board said last. */
  proveAs(extension: string, status: BoardStatus): void {
    this.proofs.set(extension, status);
  }

  /** From now on, this command fails. */
  refuse(command: Command, error: ErrorBody): void {
    this.refusals.set(command, error);
  }

  phoneView = async () => this.phoneNow;
  dashboardView = async () => this.boardNow;

  onPhoneView = async (listener: (view: PhoneView) => void) => {
    this.phoneListeners.add(listener);
    return () => void this.phoneListeners.delete(listener);
  };

  onDashboardView = async (listener: (view: DashboardView) => void) => {
    this.boardListeners.add(listener);
    return () => void this.boardListeners.delete(listener);
  };

  signIn = (request: SignIn) => this.ask("signIn", request);
  cancelSignIn = () => this.ask("cancelSignIn");
  signOut = () => this.ask("signOut");
  tryHere = () => this.ask("tryHere");
  dial = (target: string) => this.ask("dial", target);
  answer = (call: number) => this.ask("answer", call);
  decline = (call: number) => this.ask("decline", call);
  hangUp = (call: number) => this.ask("hangUp", call);
  transfer = (call: number, target: string) => this.ask("transfer", { call, target });
  setMuted = (muted: boolean) => this.ask("setMuted", muted);
  openDashboard = () => this.ask("openDashboard");
  takeOver = () => this.ask("takeOver");
  pause = (extension: string, reason: string | null) => this.ask("pause", { extension, reason });

  /** As the views have it: nobody else is asked here. */
  prove = async (extension: string): Promise<Available> => {
    await this.ask("prove", extension);
    const screen = this.phoneNow.screen;
    const colleagues = screen.kind === "phone" ? screen.colleagues : [];
    const status = this.proofs.get(extension) ?? colleagues.find((one) => one.extension === extension)?.status ?? "Unknown";
    return { available: status === "Available", checkedAt: Date.now(), agent: agent(extension, status) };
  };

  explain = async (extension: string, at: number | null) => {
    await this.ask("explain", { extension, at });
    const agent = this.boardNow.agents.find((one) => one.extension === extension);
    return at === null ? explanation(agent) : pastExplanation(extension, at);
  };

  /** What the app would do; the scripted double overrides it. */
  protected perform(_command: Command, _argument: unknown): void {}

  private async ask(command: Command, argument?: unknown): Promise<void> {
    this.asked.push(argument === undefined ? [command] : [command, argument]);
    const refusal = this.refusals.get(command);
    if (refusal) throw refusal;
    this.perform(command, argument);
  }
}
