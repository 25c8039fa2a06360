import { act, screen, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";

import { expectAccessible, showPhone } from "../../../tests/show";
import { call, own, phone, phoneScenes } from "../../platform/scenes";

const talking = () => phone({ own: own({ status: "OnCall" }), calls: [call({ id: 7, peer: "5550100", peerName: "Caller" })] });

async function opened(view = talking()) {
  const shown = await showPhone(view);
  await shown.user.click(screen.getByRole("button", { name: "Transfer Caller" }));
  return { ...shown, dialog: screen.getByRole("dialog", { name: "Transfer Caller" }) };
}

describe("a transfer", () => {
  it("is offered for a call that is talked on, and lists everybody else with their state", async () => {
    const { dialog, container } = await opened();
    const names = within(dialog)
      .getAllByRole("listitem")
      .map((item) => item.textContent);
    expect(names[0]).toMatch(/Available$/);
    expect(names).toContain("1002On a call");
    expect(names.at(-1)).toMatch(/Offline$/);
    expect(names.some((name) => name.startsWith("1001"))).toBe(false);
    await expectAccessible(container);
    await expectAccessible(dialog);
  });

  it("goes to whom the server proves available at the click", async () => {
    const { app, user, dialog } = await opened();
    // The board said that they are on a call; that is over.
    app.proveAs("1002", "Available");
    await user.click(within(dialog).getByRole("button", { name: /^1002/ }));
    expect(app.asked).toEqual([
      ["prove", "1002"],
      ["transfer", { call: 7, target: "1002" }],
    ]);
    expect(screen.queryByRole("dialog")).toBeNull();
  });

  it("says why not, and goes on only when the person insists", async () => {
    const { app, user, dialog } = await opened();
    app.proveAs("1002", "Paused");
    await user.click(within(dialog).getByRole("button", { name: /^1002/ }));
    expect(within(dialog).getByRole("alert")).toHaveTextContent("Checked just now: 1002 is not to be called. Paused.");
    expect(app.asked).toEqual([["prove", "1002"]]);
    await user.click(within(dialog).getByRole("button", { name: "Transfer anyway" }));
    expect(app.asked.at(-1)).toEqual(["transfer", { call: 7, target: "1002" }]);
  });

  it("says that nobody knows when the server cannot be asked", async () => {
    const { app, user, dialog } = await opened();
    app.refuse("prove", { code: "not_proved", message: "Asterisk did not answer in time.", next: "Try again." });
    await user.click(within(dialog).getByRole("button", { name: /^1002/ }));
    expect(within(dialog).getByRole("alert")).toHaveTextContent(
      "Nobody can say whether 1002 is available. Asterisk did not answer in time. Try again.",
    );
    await user.click(within(dialog).getByRole("button", { name: "Choose again" }));
    expect(within(dialog).queryByRole("alert")).toBeNull();
    expect(app.asked).toEqual([["prove", "1002"]]);
  });

  it("goes to a number that is nobody's on the board as it is, and shows why that was refused", async () => {
    const { app, user, dialog } = await opened();
    const target = within(dialog).getByRole("textbox", { name: "To" });
    await user.type(target, "+49 30 5550{Enter}");
    expect(app.asked).toEqual([["transfer", { call: 7, target: "+49305550" }]]);
    expect(screen.queryByRole("dialog")).toBeNull();

    app.refuse("transfer", { code: "bad_target", field: "target", message: "This is no number.", next: "Type one." });
    await user.click(screen.getByRole("button", { name: "Transfer Caller" }));
    await user.type(screen.getByRole("textbox", { name: "To" }), "x{Enter}");
    expect(screen.getByRole("dialog")).toHaveTextContent("This is no number. Type one.");
  });

  it("finds an extension by its digits, and wants somebody", async () => {
    const { app, user, dialog } = await opened();
    await user.type(within(dialog).getByRole("textbox", { name: "To" }), "{Enter}");
    expect(dialog).toHaveTextContent("Choose somebody, or enter a number.");
    await user.type(within(dialog).getByRole("textbox", { name: "To" }), "1002");
    expect(within(dialog).getAllByRole("listitem")).toHaveLength(1);
    app.proveAs("1002", "Available");
    await user.keyboard("{Enter}");
    expect(app.asked).toEqual([
      ["prove", "1002"],
      ["transfer", { call: 7, target: "1002" }],
    ]);
  });

  it("shows that it is under way, and that it failed", async () => {
    const { app } = await showPhone(phoneScenes.transferring!());
    expect(screen.getByTestId("call-card")).toHaveTextContent("Transferring to 1004 …");
    expect(screen.getByRole("button", { name: /^Transfer / })).toBeDisabled();
    act(() => app.showPhone(phoneScenes.transferFailed!()));
    expect(screen.getByRole("alert")).toHaveTextContent(
      "Not transferred to 1004: The other side is busy. The call goes on.",
    );
    expect(screen.getByRole("button", { name: /^Transfer / })).toBeEnabled();
  });
});
