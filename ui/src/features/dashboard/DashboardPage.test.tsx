import { act, screen, within } from "@testing-library/react";
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
