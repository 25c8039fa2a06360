import { act, render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { describe, expect, it } from "vitest";

import { App } from "../App";
import type { PhoneView } from "../generated/PhoneView";
import { Double } from "./double";
import { login, phone } from "./scenes";

/** A double whose answer to "what is shown now?" the test gives when it likes. */
class Slow extends Double {
  reply!: (view: PhoneView) => void;
  fail!: (refusal: unknown) => void;

  override phoneView = () =>
    new Promise<PhoneView>((resolve, reject) => {
      this.reply = resolve;
      this.fail = reject;
    });
}

async function open(app: Double) {
  await act(async () => void render(<App platform={app} />));
}

describe("a window's view", () => {
  it("is loading until the app has answered", async () => {
    const app = new Slow("phone");
    await open(app);
    expect(screen.getByRole("progressbar", { name: /Loading/ })).toBeVisible();
    await act(async () => app.reply(login()));
    expect(screen.getByRole("button", { name: "Sign in" })).toBeVisible();
  });

  it("is not set back by an answer older than an event", async () => {
    const app = new Slow("phone");
    await open(app);
    await act(async () => app.showPhone(phone()));
    await act(async () => app.reply(login()));
    expect(screen.getByRole("region", { name: "Your state" })).toBeVisible();
  });

  it("that cannot be had says so, and can be asked for again", async () => {
    const app = new Slow("phone");
    await open(app);
    await act(async () => app.fail("boom"));
    expect(screen.getByText(/did not say why/)).toBeVisible();
    await userEvent.click(screen.getByRole("button", { name: "Try again" }));
    await act(async () => app.reply(login()));
    expect(screen.getByRole("button", { name: "Sign in" })).toBeVisible();
  });

  it("says which window it is", async () => {
    await open(new Double("dashboard"));
    expect(document.title).toBe("Rollcall board");
  });
});
