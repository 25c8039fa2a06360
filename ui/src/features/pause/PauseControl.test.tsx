import { screen, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";

import { expectAccessible, showBoard, showPhone } from "../../../tests/show";
import { agent, board, everybody, people, phone, phoneScenes } from "../../platform/scenes";

const state = () => screen.getByRole("region", { name: "Your state" });

describe("the own pause", () => {
  it("is asked with a reason from a menu", async () => {
    const { app, user, container } = await showPhone(phone());
    await user.click(within(state()).getByRole("button", { name: "Pause" }));
    await expectAccessible(document.body);
    await user.click(screen.getByRole("menuitem", { name: "Lunch" }));
    expect(app.asked).toEqual([["pause", { extension: people.agent.extension, reason: "lunch" }]]);
    await expectAccessible(container);
  });

  it("is asked by keyboard alone", async () => {
    const { app, user } = await showPhone(phone());
    within(state()).getByRole("button", { name: "Pause" }).focus();
    await user.keyboard("{Enter}");
    await user.keyboard("{ArrowDown}{Enter}");
    expect(app.asked).toEqual([["pause", { extension: people.agent.extension, reason: "lunch" }]]);
  });

  it("says for what it is, and ends at a click", async () => {
    const { app, user, container } = await showPhone(phoneScenes.paused!());
    expect(within(state()).getByText("Lunch")).toBeVisible();
    await expectAccessible(container);
    await user.click(screen.getByRole("button", { name: "End pause" }));
    expect(app.asked).toEqual([["pause", { extension: people.agent.extension, reason: null }]]);
  });

  it("is not called one before Asterisk has confirmed it", async () => {
    const { container } = await showPhone(phoneScenes.pauseAsked!());
    expect(state()).toHaveTextContent("Not available");
    expect(state()).toHaveTextContent("Lunch, not confirmed yet");
    await expectAccessible(container);
  });

  it("shows why it was refused", async () => {
    const { app, user } = await showPhone(phone());
    app.refuse("pause", { code: "database_down", message: "Nothing was changed.", next: "Try again." });
    await user.click(within(state()).getByRole("button", { name: "Pause" }));
    await user.click(screen.getByRole("menuitem", { name: "Break" }));
    expect(await screen.findByRole("alert")).toHaveTextContent("Nothing was changed.");
  });
});

describe("a supervisor", () => {
  const openRow = async (extension: string, role: "supervisor" | "agent" = "supervisor") => {
    const agents = everybody().filter((one) => one.extension === extension);
    const shown = await showBoard(board({ role, agents }));
    await shown.user.click(screen.getByRole("rowheader", { name: extension }));
    await screen.findByRole("dialog");
    return shown;
  };

  it("pauses whoever is there", async () => {
    const { app, user } = await openRow("1001");
    await user.click(screen.getByRole("button", { name: "Pause" }));
    await user.click(screen.getByRole("menuitem", { name: "Training" }));
    expect(app.asked).toContainEqual(["pause", { extension: "1001", reason: "training" }]);
  });

  it("ends the pause of another", async () => {
    const { app, user, container } = await openRow("1005");
    expect(screen.getByRole("dialog")).toHaveTextContent("Lunch");
    await expectAccessible(container);
    await user.click(screen.getByRole("button", { name: "End pause" }));
    expect(app.asked).toContainEqual(["pause", { extension: "1005", reason: null }]);
  });

  it("pauses nobody who is not there", async () => {
    await openRow("1007");
    expect(screen.queryByRole("button", { name: "Pause" })).not.toBeInTheDocument();
  });

  it("is needed for that: to agents it is not offered", async () => {
    await openRow("1001", "agent");
    expect(screen.queryByRole("button", { name: "Pause" })).not.toBeInTheDocument();
  });

  it("may end a pause that somebody made in Asterisk", async () => {
    const { app, user } = await showBoard(board({ agents: [agent("1001", "Paused")] }));
    await user.click(screen.getByRole("rowheader", { name: "1001" }));
    await user.click(await screen.findByRole("button", { name: "End pause" }));
    expect(app.asked).toContainEqual(["pause", { extension: "1001", reason: null }]);
  });
});
