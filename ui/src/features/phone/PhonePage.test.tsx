import { act, screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it, vi } from "vitest";

import { expectAccessible, showPhone } from "../../../tests/show";
import { ago, call, incoming, own, people, phone, phoneScenes, reason } from "../../platform/scenes";

const number = () => screen.getByRole("textbox", { name: "Number" });

describe("the own state", () => {
  it("is a word, with its reasons and what to do about them", async () => {
    await showPhone(
      phone({ own: own({ status: "NotAvailable", reasons: [reason("contact_unreachable"), reason("app_gone_odd")] }) }),
    );
    const state = screen.getByRole("region", { name: "Your state" });
    expect(within(state).getByRole("status")).toHaveTextContent("Not available");
    expect(state).toHaveTextContent("The phone does not answer Asterisk. Check the network and any VPN.");
    expect(state).toHaveTextContent("App gone odd.");
  });

  it("prefers the server's own sentence about a reason", async () => {
    await showPhone(phone({ own: own({ status: "NotAvailable", reasons: [reason("app_lost", "silent for 12 s")] }) }));
    expect(screen.getByRole("region", { name: "Your state" })).toHaveTextContent("Silent for 12 s.");
  });

  it("follows the app at once", async () => {
    const { app } = await showPhone(phone());
    const state = screen.getByRole("region", { name: "Your state" });
    expect(state).toHaveTextContent("Available");
    act(() => app.showPhone(phone({ own: own({ status: "Unknown", server: { ok: false, asOf: ago(21_000) } }) })));
    expect(within(state).getByRole("status")).toHaveTextContent("Unknown");
    expect(screen.getByText(/Server lost 00:2\d/)).toBeVisible();
  });

  it("shows a failed registration as a problem, once", async () => {
    const error = { code: "registrar_unreachable", message: "The phone system does not answer.", next: "Wait." };
    const failed = own({ status: "NotAvailable", phone: { kind: "failed", error } });
    await showPhone(phone({ own: failed }, [{ severity: "error", error }]));
    expect(screen.getAllByRole("alert")).toHaveLength(1);
    expect(screen.getByRole("alert")).toHaveTextContent("The phone system does not answer.");
    expect(screen.getByText("Phone not registered")).toBeVisible();
  });
});

describe("an extension that is in use elsewhere", () => {
  it("is taken over when the person says so", async () => {
    const { app, user } = await showPhone(phoneScenes.inUse!());
    const question = screen.getByRole("alertdialog", { name: "Signed in elsewhere" });
    expect(question).toHaveTextContent("in use on another device");
    await user.click(within(question).getByRole("button", { name: "Take over" }));
    expect(app.asked).toEqual([["takeOver"]]);
  });

  it("is left alone otherwise, by signing out here", async () => {
    const { app, user } = await showPhone(phoneScenes.inUse!());
    await user.click(screen.getByRole("button", { name: "Sign out here" }));
    expect(app.asked).toEqual([["signOut"]]);
  });

  it("is not asked about while signing out", async () => {
    const inUse = { code: "in_use", message: "Your extension is in use on another device." };
    await showPhone(phone({ signingOut: true, inUse }));
    expect(screen.queryByRole("alertdialog", { name: "Signed in elsewhere" })).not.toBeInTheDocument();
  });

  it("is asked about no more once it is not", async () => {
    const { app } = await showPhone(phoneScenes.inUse!());
    act(() => app.showPhone(phone()));
    await waitFor(() => expect(screen.queryByRole("alertdialog")).not.toBeInTheDocument());
  });
});

describe("a notice", () => {
  it("that is only good to know can be put away, and stays away", async () => {
    const { app, user } = await showPhone(phoneScenes.noKeychain!());
    const words = /kept in memory only/;
    expect(screen.getByText(words)).toBeVisible();
    await user.click(screen.getByRole("button", { name: "Dismiss" }));
    act(() => app.showPhone(phoneScenes.noKeychain!()));
    expect(screen.queryByText(words)).not.toBeInTheDocument();
  });

  it("of a problem stays as long as the problem", async () => {
    const { app } = await showPhone(phoneScenes.noMicrophone!());
    expect(screen.getByRole("alert")).toHaveTextContent("There is no working microphone.");
    expect(screen.queryByRole("button", { name: "Dismiss" })).not.toBeInTheDocument();
    act(() => app.showPhone(phone()));
    expect(screen.queryByRole("alert")).not.toBeInTheDocument();
  });
});

describe("dialling", () => {
  it("takes digits from the keyboard wherever the focus is, and Enter calls", async () => {
    const { app, user } = await showPhone(phone());
    screen.getByRole("button", { name: "Menu" }).focus();
    await user.keyboard("600");
    expect(number()).toHaveValue("600");
    await user.keyboard("{Enter}");
    expect(app.asked).toEqual([["dial", "600"]]);
    await waitFor(() => expect(number()).toHaveValue(""));
  });

  it("takes digits from the keypad, and takes them back", async () => {
    const { app, user } = await showPhone(phone());
    const keypad = screen.getByRole("group", { name: "Keypad" });
    for (const digit of ["1", "0", "0", "3"]) await user.click(within(keypad).getByRole("button", { name: digit }));
    await user.click(screen.getByRole("button", { name: "Erase last digit" }));
    await user.click(within(keypad).getByRole("button", { name: "2" }));
    await user.click(screen.getByRole("button", { name: "Call" }));
    expect(app.asked).toEqual([["dial", "1002"]]);
  });

  it("does not call nothing", async () => {
    const { app, user } = await showPhone(phone());
    await user.click(screen.getByRole("button", { name: "Call" }));
    expect(number()).toHaveAccessibleDescription("Enter a number to call.");
    expect(app.asked).toEqual([]);
  });

  it("says at the field why a number was refused, and keeps it", async () => {
    const { app, user } = await showPhone(phone());
    app.refuse("dial", { code: "bad_number", field: "target", message: "That is no number.", next: "Check it." });
    await user.type(number(), "6;0{Enter}");
    await waitFor(() => expect(number()).toHaveAccessibleDescription("That is no number. Check it."));
    expect(number()).toHaveValue("6;0");
  });
});

describe("a call", () => {
  it("shows the other side, its time and codec; mutes and hangs up", async () => {
    const { app, user, container } = await showPhone(phone({ calls: [call({ answeredAt: ago(83_000) })] }));
    const card = screen.getByRole("article", { name: "Call with Agent 1002" });
    expect(card).toHaveTextContent("In call");
    expect(within(card).getByRole("timer", { name: "Call duration" })).toHaveTextContent(/^01:2\d$/);
    expect(card).toHaveTextContent("Opus");
    await expectAccessible(container);
    const mute = within(card).getByRole("button", { name: "Mute" });
    expect(mute).toHaveAttribute("aria-pressed", "false");
    await user.click(mute);
    act(() => app.showPhone(phone({ calls: [call()], muted: true })));
    expect(mute).toHaveAttribute("aria-pressed", "true");
    expect(card).toHaveTextContent("Your microphone is muted");
    await user.click(mute);
    await user.click(within(card).getByRole("button", { name: "Hang up on Agent 1002" }));
    expect(app.asked).toEqual([
      ["setMuted", true],
      ["setMuted", false],
      ["hangUp", 1],
    ]);
  });

  it("shows how loud it is both ways, while it is talked on", async () => {
    const { app, container } = await showPhone(
      phone({ calls: [call()], levels: { microphone: 6, speaker: 0 } }),
    );
    const meter = (name: string) => screen.getByRole("meter", { name });
    expect(meter("How loud your microphone is")).toHaveAttribute("aria-valuenow", "6");
    expect(meter("How loud the other side is")).toHaveAttribute("aria-valuenow", "0");
    await expectAccessible(container);
    act(() => app.showPhone(phone({ calls: [call({ state: "ended" })], levels: null })));
    expect(screen.queryByRole("meter")).toBeNull();
  });

  it("says so loudly when somebody speaks into a muted microphone", async () => {
    const { app, container } = await showPhone(phone({ calls: [call()], muted: true }));
    expect(screen.queryByRole("alert")).toBeNull();
    act(() => app.showPhone(phone({ calls: [call()], muted: true, speakingMuted: true })));
    expect(screen.getByRole("alert")).toHaveTextContent("You are muted: nobody hears you");
    await expectAccessible(container);
  });

  it("can be hung up while it rings, and cannot be muted then", async () => {
    const { app, user } = await showPhone(phone({ calls: [call({ state: "ringing", answeredAt: null, codec: null })] }));
    const card = screen.getByRole("article", { name: "Call with Agent 1002" });
    expect(card).toHaveTextContent("Ringing");
    expect(within(card).queryByRole("button", { name: "Mute" })).not.toBeInTheDocument();
    await user.click(within(card).getByRole("button", { name: "Hang up on Agent 1002" }));
    expect(app.asked).toEqual([["hangUp", 1]]);
  });

  it("says why it ended, with nothing left to press", async () => {
    await showPhone(phone({ calls: [call({ state: "ended", ended: "Agent 1002 hung up." })] }));
    const card = screen.getByRole("article", { name: "Call with Agent 1002" });
    expect(card).toHaveTextContent("Agent 1002 hung up.");
    expect(within(card).queryByRole("button")).not.toBeInTheDocument();
    expect(number()).toBeVisible();
  });

  it("leaves room for another one", async () => {
    const { app, user } = await showPhone(phone({ calls: [call()] }));
    expect(screen.queryByRole("textbox", { name: "Number" })).not.toBeInTheDocument();
    await user.click(screen.getByRole("button", { name: "Dial another number" }));
    await user.type(number(), "600{Enter}");
    expect(app.asked).toEqual([["dial", "600"]]);
  });

  it("shows why a command on it was refused, until dismissed", async () => {
    const { app, user } = await showPhone(phone({ calls: [call()] }));
    app.refuse("hangUp", { code: "no_such_call", message: "That call is over." });
    await user.click(screen.getByRole("button", { name: "Hang up on Agent 1002" }));
    expect(await screen.findByRole("alert")).toHaveTextContent("That call is over.");
    await user.click(screen.getByRole("button", { name: "Dismiss" }));
    expect(screen.queryByRole("alert")).not.toBeInTheDocument();
  });
});

describe("an incoming call", () => {
  it("is announced, takes the focus, and Enter answers it", async () => {
    const { app, user, container } = await showPhone(phone());
    act(() => app.showPhone(phone({ calls: [incoming({ id: 7 })] })));
    expect(container.querySelector("[aria-live=assertive]")).toHaveTextContent("Incoming call from Agent 1002, 1002");
    expect(screen.getByRole("button", { name: "Answer Agent 1002" })).toHaveFocus();
    await expectAccessible(container);
    await user.keyboard("{Enter}");
    expect(app.asked).toEqual([["answer", 7]]);
  });

  it("can be declined", async () => {
    const { app, user } = await showPhone(phone({ calls: [incoming({ id: 7 })] }));
    await user.click(screen.getByRole("button", { name: "Decline Agent 1002" }));
    expect(app.asked).toEqual([["decline", 7]]);
  });

  it("is not answered by the Enter of somebody who was typing a number", async () => {
    const { app, user } = await showPhone(phone());
    const now = vi.spyOn(Date, "now").mockReturnValue(1_000_000);
    await user.type(number(), "60");
    act(() => app.showPhone(phone({ calls: [incoming({ id: 7 })] })));
    await user.keyboard("{Enter}");
    expect(app.asked).toEqual([]);
    now.mockReturnValue(1_001_001);
    await user.keyboard("{Enter}");
    expect(app.asked).toEqual([["answer", 7]]);
    act(() => app.showPhone(phone()));
    expect(number()).toHaveValue("60");
  });

  it("comes before the call that is going on", async () => {
    await showPhone(phone({ calls: [call(), incoming({ id: 2, peer: "2000", peerName: null })] }));
    const names = screen.getAllByRole("article").map((card) => card.getAttribute("aria-label"));
    expect(names).toEqual(["Incoming call from 2000", "Call with Agent 1002"]);
  });

  it("from nobody known has a name all the same", async () => {
    await showPhone(phone({ calls: [incoming({ peer: "", peerName: null })] }));
    expect(screen.getByRole("article", { name: "Incoming call from Unknown caller" })).toBeVisible();
  });
});

describe("the menu", () => {
  async function open(user: Awaited<ReturnType<typeof showPhone>>["user"]) {
    await user.click(screen.getByRole("button", { name: "Menu" }));
    return screen.findByRole("menu");
  }

  it("opens the board", async () => {
    const { app, user } = await showPhone(phone());
    await open(user);
    await user.click(screen.getByRole("menuitem", { name: "Open board" }));
    expect(app.asked).toEqual([["openDashboard"]]);
  });

  it("changes the theme, and remembers it", async () => {
    const { user } = await showPhone(phone());
    await open(user);
    expect(screen.getByRole("menuitemradio", { name: "Like the system" })).toBeChecked();
    await user.click(screen.getByRole("menuitemradio", { name: "Dark" }));
    expect(document.documentElement.dataset.theme).toBe("dark");
    expect(localStorage.getItem("rollcall.theme")).toBe("dark");
  });

  it("signs out", async () => {
    const { app, user } = await showPhone(phone());
    await open(user);
    await user.click(screen.getByRole("menuitem", { name: "Sign out" }));
    expect(app.asked).toEqual([["signOut"]]);
    act(() => app.showPhone(phone({ signingOut: true })));
    expect(screen.getByRole("progressbar", { name: /Signing out/ })).toBeVisible();
    expect(screen.getByRole("button", { name: "Call" })).toBeDisabled();
  });

  it("asks before signing out during a call", async () => {
    const { app, user } = await showPhone(phone({ calls: [call()] }));
    await open(user);
    await user.click(screen.getByRole("menuitem", { name: "Sign out" }));
    const dialog = await screen.findByRole("alertdialog", { name: "Sign out during a call?" });
    await user.click(within(dialog).getByRole("button", { name: "Stay signed in" }));
    expect(app.asked).toEqual([]);
    await open(user);
    await user.click(screen.getByRole("menuitem", { name: "Sign out" }));
    await user.click(await screen.findByRole("button", { name: "Sign out after it" }));
    expect(app.asked).toEqual([["signOut"]]);
  });
});

it("gives a supervisor without an extension the board instead of a keypad", async () => {
  const { app, user, container } = await showPhone(phone({ user: people.supervisor, own: own({ phone: { kind: "none" } }) }));
  expect(screen.queryByRole("textbox", { name: "Number" })).not.toBeInTheDocument();
  await user.click(screen.getByRole("button", { name: "Open board" }));
  expect(app.asked).toEqual([["openDashboard"]]);
  await expectAccessible(container);
});

it.each(Object.keys(phoneScenes))("has no accessibility violation: %s", async (scene) => {
  const { container } = await showPhone(phoneScenes[scene]!());
  await expectAccessible(container);
});
