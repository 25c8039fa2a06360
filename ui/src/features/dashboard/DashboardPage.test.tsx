import { act, fireEvent, screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";

import { expectAccessible, showBoard } from "../../../tests/show";
import { ago, agent, board, boardScenes, reason, unheard } from "../../platform/scenes";

const extensions = () => screen.getAllByRole("rowheader").map((cell) => cell.textContent);
const row = (extension: string) => screen.getByRole("row", { name: new RegExp(`^${extension}`) });

const three = [
  agent("1001", "Available", { since: ago(60_000) }),
  agent("1002", "NotAvailable", {
    since: ago(600_000),
    contactStatus: "Unreachable",
    reasons: [reason("contact_unreachable", "no answer for 30 s")],
  }),
  agent("201", "Available", { since: ago(5_000) }),
];

describe("the board", () => {
  it("shows each agent's state in words, the reasons, device and contact", async () => {
    await showBoard(board({ agents: three }));
    expect(row("1001")).toHaveTextContent("Available");
    expect(row("1002")).toHaveTextContent("Not available");
    expect(row("1002")).toHaveTextContent("No answer for 30 s.");
    expect(row("1002")).toHaveTextContent("Unreachable");
    expect(row("1002")).toHaveTextContent("Rollcall/0.1.0");
    expect(row("1002")).not.toHaveTextContent("b1f0c2d4");
    expect(row("1002")).toHaveTextContent("10:00");
  });

  it("follows a delta at once", async () => {
    const { app } = await showBoard(board({ agents: three }));
    act(() => app.showBoard(board({ agents: [agent("1001", "OnCall"), ...three.slice(1)] })));
    expect(row("1001")).toHaveTextContent("On a call");
    expect(screen.getByRole("button", { name: "On a call 1" })).toBeVisible();
  });

  it("sorts extensions as numbers, and by any column in both directions", async () => {
    const { user } = await showBoard(board({ agents: three }));
    expect(extensions()).toEqual(["201", "1001", "1002"]);
    await user.click(screen.getByRole("columnheader", { name: /Extension/ }));
    expect(extensions()).toEqual(["1002", "1001", "201"]);
    await user.click(screen.getByRole("columnheader", { name: /For/ }));
    expect(extensions()).toEqual(["201", "1001", "1002"]);
    await user.click(screen.getByRole("columnheader", { name: /State/ }));
    expect(extensions()).toEqual(["201", "1001", "1002"]);
    await user.click(screen.getByRole("columnheader", { name: /State/ }));
    expect(extensions()[0]).toBe("1002");
  });

  it("counts by state; a count filters, and so does the search", async () => {
    const { user } = await showBoard(board({ agents: three }));
    await user.click(screen.getByRole("button", { name: "Available 2" }));
    expect(extensions()).toEqual(["201", "1001"]);
    expect(screen.getByText("2 of 3 extensions")).toBeVisible();
    await user.type(screen.getByRole("searchbox", { name: "Search" }), "1001");
    expect(extensions()).toEqual(["1001"]);
    await user.type(screen.getByRole("searchbox", { name: "Search" }), "9");
    expect(screen.getByText("Nobody matches")).toBeVisible();
    await user.click(screen.getByRole("button", { name: "Clear search and filters" }));
    expect(extensions()).toEqual(["201", "1001", "1002"]);
  });

  it("finds a reason by its words", async () => {
    const { user } = await showBoard(board({ agents: three }));
    await user.type(screen.getByRole("searchbox", { name: "Search" }), "no answer");
    expect(extensions()).toEqual(["1002"]);
  });

  it("can be walked through by keyboard", async () => {
    const { user } = await showBoard(board({ agents: three }));
    await user.tab();
    expect(screen.getByRole("searchbox", { name: "Search" })).toHaveFocus();
    await user.tab();
    expect(screen.getByRole("button", { name: "Available 2" })).toHaveFocus();
    await user.tab();
    await user.keyboard("{ArrowDown}");
    expect(document.activeElement?.closest("[role=grid], table")).toBe(screen.getByRole("grid", { name: "Agents" }));
  });
});

describe("a lost source", () => {
  it("makes every state unknown while the server is not heard, and says what was last seen", async () => {
    await showBoard(
      board({
        ...unheard(three),
        sources: { server: { ok: false, asOf: ago(74_000) }, ami: { ok: true, asOf: ago(74_000) } },
      }),
    );
    expect(screen.getByRole("alert")).toHaveTextContent("Out of sight: Server");
    expect(row("1001")).toHaveTextContent("Unknown");
    expect(row("1001")).toHaveTextContent("was Available");
    expect(screen.getByRole("button", { name: "Available 0" })).toBeVisible();
    expect(screen.getByRole("button", { name: "Unknown 3" })).toBeVisible();
    const sources = screen.getByRole("list", { name: "What the board can see" });
    expect(sources).toHaveTextContent(/Server unknown for 01:1\d/);
    expect(sources).toHaveTextContent("AMI unknown");
    expect(sources).not.toHaveTextContent("ok");
  });

  it("makes every state unknown until the snapshot has come, though the server is heard again", async () => {
    const { app } = await showBoard(board({ ...unheard(three, "board_syncing"), sources: { server: { ok: true } } }));
    expect(screen.getByText("The board is being fetched anew")).toBeVisible();
    expect(row("1001")).toHaveTextContent("Unknown");
    expect(row("1001")).toHaveTextContent("was Available");
    expect(screen.getByRole("button", { name: "Available 0" })).toBeVisible();
    act(() => app.showBoard(board({ agents: three, sources: { server: { ok: true } } })));
    expect(screen.queryByText("The board is being fetched anew")).not.toBeInTheDocument();
    expect(row("1001")).not.toHaveTextContent("was Available");
  });

  it("says why a state is unknown in the app's own words", async () => {
    const unknown = agent("1001", "Unknown", { reasons: [{ code: "board_syncing", since: ago(5_000) }] });
    await showBoard(board({ agents: [unknown], synced: false }));
    expect(row("1001")).toHaveTextContent("The board is being fetched anew.");
  });

  it("is named when the server has lost it", async () => {
    await showBoard(board({ sources: { server: { ok: true }, ami: { ok: false, asOf: ago(13_000) } } }));
    expect(screen.getByRole("alert")).toHaveTextContent("Out of sight: AMI");
    const sources = screen.getByRole("list", { name: "What the board can see" });
    expect(within(sources).getByText(/Server/)).toHaveTextContent("Server ok");
    expect(within(sources).getByText(/AMI/)).toHaveTextContent(/AMI unknown for 00:1\d/);
  });

  it("is not spoken of while all is seen", async () => {
    await showBoard(board());
    expect(screen.queryByRole("alert")).not.toBeInTheDocument();
  });
});

describe("a row that is clicked", () => {
  const drawer = () => screen.findByRole("dialog");
  const part = async (name: string) => within(await drawer()).findByRole("region", { name });

  it("says why: reasons, what would have to change, the decision and its rule, intents, sources and history", async () => {
    const { app, user } = await showBoard(board());
    await user.click(row("1003"));
    expect(app.asked).toEqual([["explain", { extension: "1003", at: null }]]);
    expect(await drawer()).toHaveAccessibleName("Why is 1003 in this state?");
    expect(await part("Reasons")).toHaveTextContent("The phone has not answered Asterisk for 30 s.");
    expect(await part("What would have to change for Available")).toHaveTextContent(
      "The phone has to answer Asterisk's OPTIONS.",
    );
    const decision = await part("Decision");
    expect(decision).toHaveTextContent("Rule R1");
    expect(within(decision).getAllByRole("listitem")).toHaveLength(9);
    expect(decision).toHaveTextContent("The phone answers: noaccording to Asterisk");
    expect(decision).toHaveTextContent("The app is heard: yesaccording to the app");
    expect(await part("What the agent asked for")).toHaveTextContent(/online for 06:0\d/);
    expect(await part("What was seen")).toHaveTextContent(/App: ok seen 00:0\d ago/);
    expect(await part("History")).toHaveTextContent("Repaired qualify 7f3a91c0 according to the server · Rule R10");
  });

  it("can be looked at as it was at a past time, and as it is again", async () => {
    const { app, user } = await showBoard(board());
    await user.click(row("1003"));
    await user.click(await screen.findByRole("button", { name: /^Show how it was at/ }));
    expect(await screen.findByText(/^As it was at/)).toBeVisible();
    expect(app.asked[1]).toEqual(["explain", { extension: "1003", at: expect.any(Number) as number }]);
    expect(await part("Reasons")).toHaveTextContent("The app is not heard from.");
    expect(await part("What the agent asked for")).toHaveTextContent("online for 05:00");
    expect(await part("What was seen")).toHaveTextContent(/Database: ok/);
    await user.click(screen.getByRole("button", { name: "Now" }));
    expect(await part("Reasons")).toHaveTextContent("The phone has not answered Asterisk for 30 s.");
  });

  it("is asked for a moment that is typed, and never for one to come", async () => {
    const { app, user } = await showBoard(board());
    await user.click(row("1003"));
    await drawer();
    fireEvent.change(screen.getByLabelText("At"), { target: { value: "2020-01-02T03:04:05" } });
    const then = new Date("2020-01-02T03:04:05").getTime();
    await waitFor(() => expect(app.asked[1]).toEqual(["explain", { extension: "1003", at: then }]));
    expect(await screen.findByText("As it was at 2020-01-02 03:04:05")).toBeVisible();
    fireEvent.change(screen.getByLabelText("At"), { target: { value: "2999-01-01T00:00:00" } });
    await waitFor(() => expect(app.asked).toHaveLength(3));
    const [, asked] = app.asked[2] as [string, { at: number }];
    expect(asked.at).toBeLessThanOrEqual(Date.now());
  });

  it("is asked anew when the row changes, and opens by key and closes by Escape", async () => {
    const { app, user } = await showBoard(board({ agents: three }));
    await user.tab();
    await user.tab();
    await user.tab();
    await user.keyboard("{ArrowDown}{Enter}");
    await drawer();
    const first = app.asked.length;
    const changed = three.map((one) => ({ ...one, status: "OnCall" as const, since: ago(0) }));
    act(() => app.showBoard(board({ agents: changed })));
    await waitFor(() => expect(app.asked.length).toBeGreaterThan(first));
    expect(await within(await drawer()).findByText("On a call")).toBeVisible();
    await user.keyboard("{Escape}");
    await waitFor(() => expect(screen.queryByRole("dialog")).not.toBeInTheDocument());
  });

  it("says why the server did not answer", async () => {
    const { app, user } = await showBoard(board());
    app.refuse("explain", { code: "not_allowed", message: "This is for supervisors.", next: "Ask a supervisor." });
    await user.click(row("1003"));
    expect(await within(await drawer()).findByRole("alert")).toHaveTextContent("This is for supervisors.");
  });

  it.each(["1001", "1003", "1008"])("has no accessibility violation: %s", async (extension) => {
    const { user } = await showBoard(board());
    await user.click(row(extension));
    await part("History");
    await expectAccessible(await drawer());
  });
});

describe("the mode", () => {
  it.each([
    ["mirror", "Mirror", "the server copies what it reports"],
    ["shared", "Shared", "in one table"],
    ["claims", "Claims", "not verified"],
  ])("%s is shown and said in words", async (mode, name, what) => {
    await showBoard(board({ mode }));
    const shown = screen.getByText(name, { selector: "[data-mode]" });
    expect(shown).toHaveAttribute("data-mode", mode);
    expect(shown).toHaveTextContent(what);
  });

  it("is left out while it is not known", async () => {
    await showBoard(board({ mode: null }));
    expect(document.querySelector("[data-mode]")).toBeNull();
  });
});

describe("with nothing to show", () => {
  it("says that nobody is signed in", async () => {
    await showBoard(boardScenes.boardSignedOut!());
    expect(screen.getByText("Nobody is signed in")).toBeVisible();
    expect(screen.queryByRole("grid")).not.toBeInTheDocument();
  });

  it("says that it waits for the first snapshot", async () => {
    await showBoard(boardScenes.boardWaiting!());
    expect(screen.getByRole("progressbar", { name: /Waiting for the board/ })).toBeVisible();
  });

  it("says that there are no extensions yet", async () => {
    await showBoard(boardScenes.boardEmpty!());
    expect(screen.getByText("No extensions yet")).toBeVisible();
  });
});

it.each(Object.keys(boardScenes))("has no accessibility violation: %s", async (scene) => {
  const { container } = await showBoard(boardScenes[scene]!());
  await expectAccessible(container);
});
