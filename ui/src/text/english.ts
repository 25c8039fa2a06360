import type { BoardStatus } from "../generated/BoardStatus";
import type { ContactStatus } from "../generated/ContactStatus";
import type { ErrorBody } from "../generated/ErrorBody";
import type { SignInStep } from "../generated/SignInStep";
import type { Verdict } from "../generated/Verdict";

/** What a reason means to the person it concerns, and what that person can do about it. */
export interface ReasonWords {
  what: string;
  next?: string;
}

/** Every sentence of the interface. A second language is a second object of this type. */
export interface Text {
  productName: string;
  boardTitle: string;
  loading: string;
  retry: string;
  dismiss: string;
  unexpected: ErrorBody;
  crashed: ErrorBody;
  onlyInApp: string;
  severity: Record<"info" | "warning" | "error", string>;
  status: Record<BoardStatus, string>;
  contact: Record<ContactStatus, string>;
  reasons: Record<string, ReasonWords>;
  pause: {
    begin: string;
    end: string;
    /** By code; Asterisk's queues are told the code. */
    reasons: Record<string, string>;
    unconfirmed: (reason: string) => string;
    endUnconfirmed: string;
  };
  theme: { label: string; system: string; light: string; dark: string };
  duration: { dayShort: string; hourShort: string };
  login: {
    title: string;
    subtitle: string;
    server: string;
    serverAddress: string;
    serverHint: string;
    serverAt: (address: string) => string;
    username: string;
    password: string;
    showPassword: string;
    signIn: string;
    signingIn: string;
    cancel: string;
    or: string;
    tryHere: string;
    tryHereHint: string;
    demoTitle: string;
    fillIn: (label: string) => string;
    fillInShort: string;
    needUsername: string;
    needPassword: string;
    needServer: string;
    progress: string;
    steps: Record<SignInStep, string>;
    version: (version: string) => string;
  };
  phone: {
    window: string;
    extension: (extension: string) => string;
    roles: Record<"agent" | "supervisor" | "admin", string>;
    menu: string;
    openBoard: string;
    signOut: string;
    signingOut: string;
    signOutInCall: string;
    signOutInCallWhat: string;
    signOutAfterCall: string;
    signingOutAfterCall: string;
    staySignedIn: string;
    inUse: string;
    inUseWhat: string;
    takeOver: string;
    signOutHere: string;
    yourState: string;
    since: (duration: string) => string;
    notices: string;
    dial: string;
    number: string;
    numberPlaceholder: string;
    erase: string;
    keypad: string;
    dialAnother: string;
    call: string;
    needNumber: string;
    calls: string;
    callWith: (peer: string) => string;
    callStates: { dialing: string; ringingOut: string; ringingIn: string; active: string; heldByPeer: string; ended: string };
    callDuration: string;
    codec: string;
    mute: string;
    muted: string;
    speakingMuted: string;
    microphoneLevel: string;
    speakerLevel: string;
    transfer: string;
    transferCall: (peer: string) => string;
    transferTo: string;
    transferPlaceholder: string;
    transferNobody: string;
    transferChecking: (extension: string) => string;
    transferNot: (extension: string, state: string) => string;
    transferNotProved: (extension: string) => string;
    transferAnyway: string;
    transferBack: string;
    transferNeedsTarget: string;
    transferring: (to: string) => string;
    transferFailed: (to: string, why: string) => string;
    cancel: string;
    hangUp: string;
    hangUpOn: (peer: string) => string;
    incoming: string;
    incomingFrom: (peer: string) => string;
    answer: string;
    answerFrom: (peer: string) => string;
    decline: string;
    declineFrom: (peer: string) => string;
    unknownCaller: string;
    noPhoneTitle: string;
    noPhoneWhat: string;
    links: string;
    phoneLink: { none: string; registering: string; registered: string; failed: string };
    serverLink: { ok: string; lost: string; lostFor: (duration: string) => string };
  };
  board: {
    heading: string;
    totals: string;
    agentsOf: (shown: number, all: number) => string;
    search: string;
    searchPlaceholder: string;
    clearSearch: string;
    table: string;
    columns: { extension: string; status: string; reasons: string; since: string; device: string; contact: string };
    sources: string;
    sourceNames: Record<string, string>;
    sourceOk: string;
    sourceLostFor: (duration: string) => string;
    sourceHearsay: string;
    sourceNever: string;
    lostTitle: (sources: string) => string;
    lostServerWhat: string;
    lostSourceWhat: string;
    syncingTitle: string;
    syncingWhat: string;
    was: (status: string) => string;
    noDevice: string;
    moreDevices: (count: number) => string;
    deviceId: (id: string) => string;
    noLease: string;
    signedOutTitle: string;
    signedOutWhat: string;
    waiting: string;
    emptyTitle: string;
    emptyWhat: string;
    noMatchTitle: string;
    noMatchWhat: string;
    clearFilters: string;
    mode: string;
    modes: Record<string, { name: string; what: string }>;
  };
  explain: {
    title: (extension: string) => string;
    close: string;
    since: (duration: string) => string;
    at: string;
    now: string;
    showingNow: string;
    showingPast: (moment: string) => string;
    loading: string;
    why: string;
    whyNot: string;
    nothingMissing: string;
    needed: string;
    terms: string;
    termNames: Record<string, string>;
    verdicts: Record<Verdict, string>;
    says: (source: string) => string;
    sourceNames: Record<string, string>;
    rule: (rule: string) => string;
    rules: Record<string, string>;
    intents: string;
    wants: Record<string, string>;
    noIntents: string;
    sources: string;
    sourceSeen: (duration: string) => string;
    history: string;
    noHistory: string;
    kinds: Record<string, string>;
    showThen: (moment: string) => string;
  };
}

export const english: Text = {
  productName: "Rollcall",
  boardTitle: "Rollcall board",
  loading: "Loading",
  retry: "Try again",
  dismiss: "Dismiss",
  unexpected: {
    code: "unexpected",
    message: "That did not work, and the app did not say why.",
    next: "Try again. If it keeps happening, restart Rollcall.",
  },
  crashed: {
    code: "window_crashed",
    message: "This window stopped working. Calls are not affected: they run outside of it.",
    next: "Reload the window.",
  },
  onlyInApp: "This page belongs to the Rollcall app and works only inside it.",
  severity: { info: "Note", warning: "Warning", error: "Problem" },
  status: {
    Unknown: "Unknown",
    Offline: "Offline",
    LoggingOut: "Signing out",
    OnCall: "On a call",
    Ringing: "Ringing",
    WrapUp: "Wrap-up",
    Paused: "Paused",
    NotAvailable: "Not available",
    Unverified: "Unverified",
    Available: "Available",
  },
  contact: {
    Reachable: "Reachable",
    Unreachable: "Unreachable",
    NonQualified: "Not tested",
    Expired: "Expired",
    Unknown: "Unknown",
  },
  reasons: {
    ami_lost: { what: "The server’s link to Asterisk is down.", next: "The server is reconnecting." },
    ami_syncing: { what: "The server is reading Asterisk’s lists.", next: "This takes a moment." },
    database_lost: { what: "The server’s database is not answering.", next: "Tell your administrator." },
    not_saved: { what: "The last change could not be saved.", next: "Tell your administrator." },
    server_restarted: { what: "The server has restarted and not heard the app yet.", next: "This takes a moment." },
    server_suspect: { what: "The app fell silent with many others, or while the server was cut off: the server doubts itself." },
    app_link_lost: { what: "The app’s connection to the server closed.", next: "It reconnects. Check the network." },
    app_lost: { what: "The app is not heard from.", next: "Check that Rollcall runs and the network is up." },
    no_lease: { what: "The client sends no sign of life." },
    sip_loop_stalled: { what: "The phone’s signalling has stopped.", next: "Restart Rollcall." },
    audio_loop_stalled: { what: "The phone’s sound has stopped.", next: "Restart Rollcall." },
    no_audio_device: { what: "There is no microphone or speaker to talk with.", next: "Plug in a headset." },
    registering: { what: "The phone is registering.", next: "This takes a moment." },
    login_incomplete: { what: "The phone did not register in time.", next: "Sign out and sign in again." },
    sip_down: { what: "The phone has lost its registration.", next: "It keeps trying. Check the network." },
    contact_expired: { what: "The phone’s registration has expired.", next: "It registers again by itself." },
    contact_unreachable: { what: "The phone does not answer Asterisk.", next: "Check the network and any VPN." },
    not_qualified: { what: "Registered; whether calls arrive has not been tested yet." },
    ambiguous_contact: { what: "Several phones are registered and none was named." },
    unclaimed: { what: "The phone is registered, but nobody has gone online with it." },
    unmanaged: { what: "A phone is registered that nobody is signed in with." },
    device_unavailable: { what: "Asterisk calls the device unavailable." },
    device_state_unknown: { what: "Asterisk’s state of the device is not known." },
    on_call: { what: "On a call." },
    ringing: { what: "Being called." },
    paused: { what: "On a break." },
    pause_asked: { what: "A pause was asked for, and Asterisk has not confirmed it." },
    pause_end_asked: { what: "The end of the pause was asked for, and Asterisk has not confirmed it." },
    logout_pending: { what: "Signed out as soon as the call ends." },
    logged_out: { what: "Signed out." },
    taken_over: { what: "Another device took over.", next: "Sign in again to take it back." },
    forced_out: { what: "Signed out by a supervisor." },
    session_expired: { what: "The session has ended.", next: "Sign in again." },
    claims_only: { what: "The server has no link to Asterisk, so nothing is verified." },
    draining: { what: "The queues do not ring this agent." },
    flapping: { what: "The phone comes and goes." },
    forged: { what: "A contact is in the table that nobody accounts for." },
    reassigned: { what: "The extension was given to somebody else." },
    never_logged_in: { what: "Has not signed in yet." },
    server_lost: { what: "The server is out of sight.", next: "Rollcall is reconnecting." },
    board_syncing: { what: "The board is being fetched anew.", next: "This takes a moment." },
  },
  pause: {
    begin: "Pause",
    end: "End pause",
    reasons: {
      break: "Break",
      lunch: "Lunch",
      meeting: "Meeting",
      training: "Training",
      paperwork: "Paperwork",
    },
    unconfirmed: (reason) => `${reason}, not confirmed yet`,
    endUnconfirmed: "End not confirmed yet",
  },
  theme: { label: "Theme", system: "Like the system", light: "Light", dark: "Dark" },
  duration: { dayShort: "d", hourShort: "h" },
  login: {
    title: "Sign in to Rollcall",
    subtitle: "One sign-in registers your phone and puts you on the board.",
    server: "Server",
    serverAddress: "Server address",
    serverHint: "The address your administrator gave you.",
    serverAt: (address) => `Server ${address}`,
    username: "User name",
    password: "Password",
    showPassword: "Show password",
    signIn: "Sign in",
    signingIn: "Signing in",
    cancel: "Cancel",
    or: "or",
    tryHere: "Try it on this computer",
    tryHereHint: "Starts a small server and phone system in the app. Nothing leaves this computer.",
    demoTitle: "Demo",
    fillIn: (label) => `Fill in ${label}`,
    fillInShort: "Fill in",
    needUsername: "Enter your user name.",
    needPassword: "Enter your password.",
    needServer: "Enter the server’s address.",
    progress: "Sign-in progress",
    steps: {
      starting: "Starting the demo",
      resuming: "Signing in again",
      checkingPassword: "Checking password",
      registeringPhone: "Registering phone",
      tellingServer: "Telling the server",
    },
    version: (version) => `Rollcall ${version}`,
  },
  phone: {
    window: "Phone",
    extension: (extension) => `Extension ${extension}`,
    roles: { agent: "Agent", supervisor: "Supervisor", admin: "Administrator" },
    menu: "Menu",
    openBoard: "Open board",
    signOut: "Sign out",
    signingOut: "Signing out",
    signOutInCall: "Sign out during a call?",
    signOutInCallWhat: "No new calls reach you from now on. You are signed out when this call ends.",
    signOutAfterCall: "Sign out after it",
    signingOutAfterCall: "Signing out when the call ends",
    staySignedIn: "Stay signed in",
    inUse: "Signed in elsewhere",
    inUseWhat:
      "Your extension is in use on another device. Take over, and that device is signed out once its call has ended; or sign out here.",
    takeOver: "Take over",
    signOutHere: "Sign out here",
    yourState: "Your state",
    since: (duration) => `for ${duration}`,
    notices: "Notices",
    dial: "Dial",
    number: "Number",
    numberPlaceholder: "Enter a number",
    erase: "Erase last digit",
    keypad: "Keypad",
    dialAnother: "Dial another number",
    call: "Call",
    needNumber: "Enter a number to call.",
    calls: "Calls",
    callWith: (peer) => `Call with ${peer}`,
    callStates: {
      dialing: "Dialing",
      ringingOut: "Ringing",
      ringingIn: "Incoming call",
      active: "In call",
      heldByPeer: "On hold by the other side",
      ended: "Call ended",
    },
    callDuration: "Call duration",
    codec: "Codec",
    mute: "Mute",
    muted: "Your microphone is muted",
    speakingMuted: "You are muted: nobody hears you",
    microphoneLevel: "How loud your microphone is",
    speakerLevel: "How loud the other side is",
    transfer: "Transfer",
    transferCall: (peer) => `Transfer ${peer}`,
    transferTo: "To",
    transferPlaceholder: "Extension or number",
    transferNobody: "Nobody on the board fits. The call goes to the number as it is.",
    transferChecking: (extension) => `Checking whether ${extension} is available …`,
    transferNot: (extension, state) => `Checked just now: ${extension} is not to be called. ${state}.`,
    transferNotProved: (extension) => `Nobody can say whether ${extension} is available.`,
    transferAnyway: "Transfer anyway",
    transferBack: "Choose again",
    transferNeedsTarget: "Choose somebody, or enter a number.",
    transferring: (to) => `Transferring to ${to} …`,
    transferFailed: (to, why) => `Not transferred to ${to}: ${why} The call goes on.`,
    cancel: "Cancel",
    hangUp: "Hang up",
    hangUpOn: (peer) => `Hang up on ${peer}`,
    incoming: "Incoming call",
    incomingFrom: (peer) => `Incoming call from ${peer}`,
    answer: "Answer",
    answerFrom: (peer) => `Answer ${peer}`,
    decline: "Decline",
    declineFrom: (peer) => `Decline ${peer}`,
    unknownCaller: "Unknown caller",
    noPhoneTitle: "The board is your desk",
    noPhoneWhat: "You have no extension, so there is nothing to dial with. See who is available, and why the others are not.",
    links: "Connections",
    phoneLink: {
      none: "No phone",
      registering: "Phone registering",
      registered: "Phone registered",
      failed: "Phone not registered",
    },
    serverLink: {
      ok: "Server connected",
      lost: "Server lost",
      lostFor: (duration) => `Server lost ${duration}`,
    },
  },
  board: {
    heading: "Board",
    totals: "Show by state",
    agentsOf: (shown, all) =>
      shown === all ? `${all} ${all === 1 ? "extension" : "extensions"}` : `${shown} of ${all} extensions`,
    search: "Search",
    searchPlaceholder: "Extension, state or reason",
    clearSearch: "Clear search",
    table: "Agents",
    columns: {
      extension: "Extension",
      status: "State",
      reasons: "Reason",
      since: "For",
      device: "Device",
      contact: "Contact",
    },
    sources: "What the board can see",
    sourceNames: { server: "Server", ami: "AMI", database: "Database", app: "App" },
    sourceOk: "ok",
    sourceLostFor: (duration) => `unknown for ${duration}`,
    sourceHearsay: "unknown",
    sourceNever: "not seen yet",
    lostTitle: (sources) => `Out of sight: ${sources}`,
    lostServerWhat:
      "This window does not hear the server, so every state is unknown. The last one seen is shown beside it. Rollcall is reconnecting.",
    syncingTitle: "The board is being fetched anew",
    syncingWhat: "What happened meanwhile is not known, so every state is unknown until it has come.",
    lostSourceWhat:
      "The server has lost this source. States that depend on it are unknown until it is back; the server is reconnecting.",
    was: (status) => `was ${status}`,
    noDevice: "None",
    moreDevices: (count) => `and ${count} more`,
    deviceId: (id) => `Device ${id}`,
    noLease: "not heard from",
    signedOutTitle: "Nobody is signed in",
    signedOutWhat: "Sign in in the phone window; the board follows at once.",
    waiting: "Waiting for the board",
    emptyTitle: "No extensions yet",
    emptyWhat: "People appear here once an administrator has added them to the server.",
    noMatchTitle: "Nobody matches",
    noMatchWhat: "No extension fits the search and the chosen states.",
    clearFilters: "Clear search and filters",
    mode: "How contacts are known",
    modes: {
      mirror: { name: "Mirror", what: "Asterisk keeps the contacts; the server copies what it reports." },
      shared: { name: "Shared", what: "Asterisk and the server keep the contacts in one table." },
      claims: { name: "Claims", what: "The server cannot ask Asterisk: what apps say is not verified." },
    },
  },
  explain: {
    title: (extension) => `Why is ${extension} in this state?`,
    close: "Close",
    since: (duration) => `for ${duration}`,
    at: "At",
    now: "Now",
    showingNow: "As it is now",
    showingPast: (moment) => `As it was at ${moment}`,
    loading: "Asking the server",
    why: "Reasons",
    whyNot: "What would have to change for Available",
    nothingMissing: "Nothing: calls reach this agent.",
    needed: "The server names nothing.",
    terms: "Decision",
    termNames: {
      sources: "The server sees its sources",
      session: "Signed in",
      lease: "The app is heard",
      contact: "The phone is registered",
      reachable: "The phone answers",
      sound: "There is sound",
      not_paused: "Not on a break",
      not_draining: "In the queues",
      idle: "Not on a call",
    },
    verdicts: { holds: "yes", fails: "no", unknown: "not known" },
    says: (source) => `according to ${source}`,
    sourceNames: { server: "the server", agent: "the agent", app: "the app", ami: "Asterisk", database: "the database" },
    rule: (rule) => `Rule ${rule}`,
    rules: {
      R1: "Available only while each of these holds.",
      R5: "Out of sight means unknown, never a stale green.",
    },
    intents: "What the agent asked for",
    wants: { signed_in: "signed in", online: "online", logging_out: "signing out" },
    noIntents: "Nothing: nobody is signed in.",
    sources: "What was seen",
    sourceSeen: (duration) => `seen ${duration} ago`,
    history: "History",
    noHistory: "Nothing is on record.",
    kinds: { intent: "Asked", observation: "Seen", decision: "Decided", repair: "Repaired" },
    showThen: (moment) => `Show how it was at ${moment}`,
  },
};
