// What the double answers when it is asked why an agent's state is what it is.
import type { Agent } from "../generated/Agent";
import type { Explanation } from "../generated/Explanation";
import type { LedgerLine } from "../generated/LedgerLine";
import type { Term } from "../generated/Term";
import { ago } from "./scenes";

const SOURCES: Record<string, string> = {
  sources: "server",
  session: "agent",
  lease: "app",
  contact: "ami",
  reachable: "ami",
  sound: "app",
  not_paused: "ami",
  not_draining: "server",
  idle: "ami",
};

/** Which term each of the double's reasons makes false. */
const FAILS: Record<string, string> = {
  contact_unreachable: "reachable",
  app_lost: "lease",
  no_audio_device: "sound",
  paused: "not_paused",
  draining: "not_draining",
  logged_out: "session",
  logout_pending: "session",
  not_qualified: "reachable",
  ami_lost: "sources",
  claims_only: "sources",
};

const NEEDED: Record<string, string> = {
  contact_unreachable: "The phone has to answer Asterisk's OPTIONS.",
  app_lost: "The app has to run and reach the server.",
  no_audio_device: "A microphone and a speaker have to be connected.",
  paused: "The pause has to end.",
  draining: "The queues have to take the agent back, which the server has asked for.",
  logged_out: "The agent has to sign in.",
};

function terms(codes: readonly string[]): Term[] {
  return Object.entries(SOURCES).map(([name, source]) => {
    const because = codes.filter((code) => FAILS[code] === name);
    return { name, source, because, verdict: because.length > 0 ? "fails" : "holds" };
  });
}

function line(seq: number, passed: number, change: Partial<LedgerLine>): LedgerLine {
  return {
    seq,
    at: ago(passed),
    extension: null,
    device: null,
    kind: "observation",
    source: "ami",
    rule: null,
    what: "contact_status",
    detail: "",
    ...change,
  };
}

const history = (agent: Agent | undefined): LedgerLine[] => [
  line(42, 37_000, { kind: "decision", source: "server", rule: "R1", what: "status_changed", detail: agent?.status ?? "" }),
  line(41, 37_200, { what: "contact_status", detail: "7f3a91c0 Unreachable" }),
  line(12, 362_000, { kind: "repair", source: "server", rule: "R10", what: "qualify", detail: "7f3a91c0" }),
  line(7, 364_000, { kind: "intent", source: "agent", what: "agent_online" }),
];

export function explanation(agent: Agent | undefined): Explanation {
  const codes = agent?.reasons.map((reason) => reason.code) ?? [];
  return {
    extension: agent?.extension ?? "1001",
    at: Date.now(),
    status: agent?.status ?? "Offline",
    since: agent?.since ?? ago(0),
    rule: agent?.status === "Unknown" ? "R5" : "R1",
    reasons: agent?.reasons ?? [],
    intents: (agent?.devices ?? []).map((device) => ({ device: device.id, wants: "online", since: ago(364_000) })),
    terms: terms(codes),
    sources: agent?.sources ?? {},
    needed: codes.flatMap((code) => NEEDED[code] ?? []),
    history: history(agent),
  };
}

/** Of a past moment a ledger remembers less: only the terms that were false, and no age of a source that was seen. */
export function pastExplanation(extension: string, at: number): Explanation {
  return {
    extension,
    at,
    status: "NotAvailable",
    since: at - 20_000,
    rule: "R1",
    reasons: [{ code: "app_lost", since: at - 20_000 }],
    intents: [{ device: "b1f0c2d4-1001", wants: "online", since: at - 300_000 }],
    terms: terms(["app_lost"]).filter((term) => term.verdict === "fails"),
    sources: { ami: { ok: true }, database: { ok: true } },
    needed: ["The app has to run and reach the server."],
    history: history(undefined).filter((one) => one.at <= at),
  };
}
