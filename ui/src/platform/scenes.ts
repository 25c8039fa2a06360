// Moments of the product, named. The double starts at one; tests and pictures are taken of them.
import type { Agent } from "../generated/Agent";
import type { BoardStatus } from "../generated/BoardStatus";
import type { CallView } from "../generated/CallView";
import type { Colleague } from "../generated/Colleague";
import type { Levels } from "../generated/Levels";
import type { DashboardView } from "../generated/DashboardView";
import type { Notice } from "../generated/Notice";
import type { OwnState } from "../generated/OwnState";
import type { PhoneScreen } from "../generated/PhoneScreen";
import type { PhoneView } from "../generated/PhoneView";
import type { SignedIn } from "../generated/SignedIn";

export type LoginScreen = Extract<PhoneScreen, { kind: "login" }>;
export type PhoneScreenView = Extract<PhoneScreen, { kind: "phone" }>;

const SECOND = 1000;
const MINUTE = 60 * SECOND;

/** As Asterisk keeps it. */
const OUR_PHONE = "Rollcall/0.1.0 (device b1f0c2d4-5d0e-4c8a-9f3b-0242ac120002)";

/** How long ago, as a moment. */
export const ago = (passed: number) => Date.now() - passed;

export const people = {
  agent: { username: "agent1001", extension: "1001", role: "agent" },
  supervisor: { username: "supervisor", extension: null, role: "supervisor" },
} satisfies Record<string, SignedIn>;

export const demo = {
  hint: "Server and phone system run on this computer. Sign in as one of these people:",
  people: [
    { label: "Agent 1001", username: "agent1001", password: "demo-1001" },
    { label: "Agent 1002", username: "agent1002", password: "demo-1002" },
    { label: "Supervisor", username: "supervisor", password: "demo-board" },
  ],
};

export function login(change: Partial<LoginScreen> = {}): PhoneView {
  return {
    version: "0.1.0",
    notices: [],
    screen: {
      kind: "login",
      server: "http://127.0.0.1:8080",
      username: "",
      demo: null,
      canTryHere: false,
      progress: null,
      error: null,
      ...change,
    },
  };
}

export function own(change: Partial<OwnState> = {}): OwnState {
  return {
    status: "Available",
    since: ago(4 * MINUTE + 12 * SECOND),
    reasons: [],
    phone: { kind: "registered" },
    pause: null,
    server: { ok: true, asOf: ago(SECOND) },
    ...change,
  };
}

export function phone(change: Partial<PhoneScreenView> = {}, notices: Notice[] = []): PhoneView {
  const calls = change.calls ?? [];
  return {
    version: "0.1.0",
    notices,
    screen: {
      kind: "phone",
      user: people.agent,
      own: own(),
      calls,
      colleagues: colleagues(),
      muted: false,
      speakingMuted: false,
      levels: levelsOf(calls),
      signingOut: false,
      inUse: null,
      ...change,
    },
  };
}

/** Everybody else on the board. */
export function colleagues(): Colleague[] {
  return everybody()
    .filter(({ extension }) => extension !== people.agent.extension)
    .map(({ extension, status }) => ({ extension, status }));
}

/** Levels come while a call is talked on. */
export function levelsOf(calls: CallView[]): Levels | null {
  const talks = calls.some((call) => call.state === "active" || call.state === "heldByPeer");
  return talks ? { microphone: 5, speaker: 2 } : null;
}

export function call(change: Partial<CallView> = {}): CallView {
  return {
    id: 1,
    direction: "out",
    state: "active",
    peer: "1002",
    peerName: "Agent 1002",
    answeredAt: ago(83 * SECOND),
    codec: "Opus",
    ended: null,
    transfer: null,
    ...change,
  };
}

export const incoming = (change: Partial<CallView> = {}) =>
  call({ direction: "in", state: "ringing", answeredAt: null, codec: null, ...change });

export function agent(extension: string, status: BoardStatus, change: Partial<Agent> = {}): Agent {
  const here = status !== "Offline";
  return {
    extension,
    status,
    contactStatus: here ? "Reachable" : "Expired",
    online: here,
    sipRegistered: here,
    reasons: [],
    since: ago(6 * MINUTE),
    sources: { app: { ok: here, asOf: ago(SECOND) }, ami: { ok: true, asOf: ago(SECOND) } },
    devices: here
      ? [{ id: `b1f0c2d4-${extension}`, lease: true, contactStatus: "Reachable", userAgent: OUR_PHONE }]
      : [],
    ...change,
  };
}

export function reason(code: string, message?: string) {
  return { code, message, since: ago(MINUTE) };
}

export const everybody = (): Agent[] => [
  agent("1001", "Available", { since: ago(4 * MINUTE + 12 * SECOND) }),
  agent("1002", "OnCall", { since: ago(83 * SECOND) }),
  agent("1003", "NotAvailable", {
    contactStatus: "Unreachable",
    since: ago(37 * SECOND),
    reasons: [reason("contact_unreachable", "the phone has not answered Asterisk for 30 s")],
  }),
  agent("1004", "Ringing", { since: ago(4 * SECOND) }),
  agent("1005", "Paused", {
    since: ago(11 * MINUTE),
    reasons: [reason("paused")],
    pause: { reason: "lunch", since: ago(11 * MINUTE), confirmed: true },
  }),
  agent("1006", "WrapUp", { since: ago(22 * SECOND) }),
  agent("1007", "Offline", { since: ago(52 * 60 * MINUTE), reasons: [reason("logged_out")] }),
  agent("1008", "NotAvailable", {
    since: ago(9 * SECOND),
    reasons: [reason("app_lost", "the app has not been heard from for 9 s"), reason("no_audio_device")],
    devices: [
      { id: "9f22ab04-1008", lease: false, contactStatus: "Reachable", userAgent: OUR_PHONE },
      { id: "c8810f6e-1008", lease: true, contactStatus: "Unreachable" },
    ],
  }),
  agent("1009", "Unverified", { contactStatus: "NonQualified", reasons: [reason("not_qualified")] }),
  agent("1010", "Available", { since: ago(95 * MINUTE) }),
  // Back after its app was lost: the phone is proved again, and the queues have not taken the agent back yet.
  agent("1011", "NotAvailable", { since: ago(2 * SECOND), reasons: [{ ...reason("draining"), since: ago(2 * SECOND) }] }),
  agent("1012", "LoggingOut", { reasons: [reason("logout_pending")] }),
];

export function board(change: Partial<DashboardView> = {}): DashboardView {
  return {
    signedIn: true,
    role: "supervisor",
    synced: true,
    mode: "mirror",
    sources: {
      server: { ok: true, asOf: ago(SECOND) },
      ami: { ok: true, asOf: ago(SECOND) },
      database: { ok: true, asOf: ago(SECOND) },
    },
    agents: everybody(),
    was: {},
    ...change,
  };
}

/** What the app shows of `agents` while it does not hear the server, or has not yet got the board anew. */
export function unheard(agents: Agent[], code: "server_lost" | "board_syncing" = "server_lost"): Partial<DashboardView> {
  return {
    synced: false,
    agents: agents.map((each) => ({
      ...each,
      status: "Unknown",
      contactStatus: "Unknown",
      since: ago(74 * SECOND),
      reasons: [reason(code)],
    })),
    was: Object.fromEntries(agents.map((each) => [each.extension, each.status])),
  };
}

const microphoneGone: Notice = {
  severity: "error",
  error: {
    code: "no_audio_device",
    message: "There is no working microphone.",
    next: "Plug in a headset. Calls reach you again once you can be heard.",
  },
};

const noKeychain: Notice = {
  severity: "info",
  error: {
    code: "no_keychain",
    message: "This computer has no keychain that can be used, so your session is kept in memory only.",
    next: "After a restart, sign in again.",
  },
};

const serverLost: Notice = {
  severity: "warning",
  error: {
    code: "server_lost",
    message: "The server is not answering. Calls go on.",
    next: "Rollcall is reconnecting; the board shows you as not available meanwhile.",
  },
};

export const phoneScenes: Record<string, () => PhoneView> = {
  login: () => login(),
  paused: () =>
    phone({
      own: own({
        status: "Paused",
        since: ago(11 * MINUTE),
        reasons: [reason("paused")],
        pause: { reason: "lunch", since: ago(11 * MINUTE), confirmed: true },
      }),
    }),
  pauseAsked: () =>
    phone({
      own: own({
        status: "NotAvailable",
        since: ago(3 * SECOND),
        reasons: [reason("pause_asked")],
        pause: { reason: "lunch", since: ago(3 * SECOND), confirmed: false },
      }),
    }),
  loginDemo: () => login({ demo, canTryHere: true }),
  loginProgress: () => login({ username: "agent1001", progress: "registeringPhone" }),
  loginWrong: () =>
    login({
      username: "agent1001",
      error: {
        code: "wrong_credentials",
        field: "password",
        message: "User name or password is wrong.",
        next: "Check both, and Caps Lock.",
      },
    }),
  loginServerAway: () =>
    login({
      username: "agent1001",
      error: {
        code: "server_unreachable",
        message: "The server at 127.0.0.1:8080 does not answer.",
        next: "Check the address and the network, then sign in again.",
      },
    }),
  loginNoServer: () => login({ server: "", canTryHere: true }),
  available: () => phone(),
  noKeychain: () => phone({}, [noKeychain]),
  registering: () =>
    phone({
      own: own({
        status: "NotAvailable",
        since: ago(2 * SECOND),
        reasons: [reason("registering")],
        phone: { kind: "registering" },
      }),
    }),
  unreachable: () =>
    phone({
      own: own({
        status: "NotAvailable",
        since: ago(37 * SECOND),
        reasons: [reason("contact_unreachable")],
      }),
    }),
  registrarAway: () =>
    phone({
      own: own({
        status: "NotAvailable",
        since: ago(12 * SECOND),
        reasons: [reason("sip_down")],
        phone: {
          kind: "failed",
          error: {
            code: "registrar_unreachable",
            message: "The phone system at 127.0.0.1:5160 does not answer.",
            next: "The phone tries again every few seconds.",
          },
        },
      }),
    }),
  noMicrophone: () =>
    phone({ own: own({ status: "NotAvailable", reasons: [reason("no_audio_device")] }) }, [microphoneGone]),
  serverLost: () =>
    phone({ own: own({ status: "Unknown", since: ago(21 * SECOND), server: { ok: false, asOf: ago(21 * SECOND) } }) }, [
      serverLost,
    ]),
  dialing: () => phone({ calls: [call({ state: "dialing", answeredAt: null, codec: null })] }),
  ringing: () => phone({ calls: [call({ state: "ringing", answeredAt: null, codec: null })] }),
  inCall: () => phone({ own: own({ status: "OnCall", since: ago(83 * SECOND) }), calls: [call()] }),
  muted: () => phone({ own: own({ status: "OnCall", since: ago(83 * SECOND) }), calls: [call()], muted: true }),
  speakingMuted: () =>
    phone({
      own: own({ status: "OnCall", since: ago(83 * SECOND) }),
      calls: [call()],
      muted: true,
      speakingMuted: true,
      levels: { microphone: 6, speaker: 0 },
    }),
  transferring: () =>
    phone({ own: own({ status: "OnCall", since: ago(83 * SECOND) }), calls: [call({ transfer: { to: "1004", failed: null } })] }),
  transferFailed: () =>
    phone({
      own: own({ status: "OnCall", since: ago(83 * SECOND) }),
      calls: [call({ transfer: { to: "1004", failed: "The other side is busy." } })],
    }),
  ended: () => phone({ calls: [call({ state: "ended", ended: "Agent 1002 hung up." })] }),
  incoming: () => phone({ own: own({ status: "Ringing", since: ago(3 * SECOND) }), calls: [incoming()] }),
  callWaiting: () =>
    phone({
      own: own({ status: "OnCall", since: ago(83 * SECOND) }),
      calls: [call(), incoming({ id: 2, peer: "+49 30 5550100", peerName: null })],
    }),
  signingOut: () => phone({ signingOut: true, own: own({ status: "LoggingOut", since: ago(SECOND) }) }),
  inUse: () =>
    phone({
      own: own({ status: "NotAvailable", since: ago(2 * SECOND), reasons: [reason("unclaimed")] }),
      inUse: {
        code: "in_use",
        message: "This extension is in use on another device.",
        next: "Sign out on the other device first, or take over.",
      },
    }),
  supervisor: () =>
    phone({ user: people.supervisor, own: own({ status: "Offline", phone: { kind: "none" } }) }),
};

export const boardScenes: Record<string, () => DashboardView> = {
  board: () => board(),
  boardServerLost: () =>
    board({
      ...unheard(everybody()),
      sources: { server: { ok: false, asOf: ago(74 * SECOND) }, ami: { ok: true }, database: { ok: true } },
    }),
  boardAmiLost: () =>
    board({
      sources: { server: { ok: true }, ami: { ok: false, asOf: ago(13 * SECOND) }, database: { ok: true } },
      agents: everybody().map((each) => ({
        ...each,
        status: "Unknown",
        contactStatus: "Unknown",
        since: ago(13 * SECOND),
        reasons: [reason("ami_lost")],
      })),
    }),
  boardClaims: () =>
    board({
      mode: "claims",
      sources: { server: { ok: true }, database: { ok: true } },
      agents: [agent("1001", "Unverified", { contactStatus: "Unknown", reasons: [reason("claims_only")] })],
    }),
  boardEmpty: () => board({ agents: [] }),
  boardWaiting: () => board({ synced: false, mode: null, agents: [] }),
  boardSignedOut: () => board({ signedIn: false, role: null, synced: false, mode: null, agents: [], sources: {} }),
};
