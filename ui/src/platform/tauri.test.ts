import { clearMocks, mockIPC, mockWindows } from "@tauri-apps/api/mocks";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import wire from "../../../crates/wire/src/ui.rs?raw";
import type { Platform } from "./platform";
import { tauri } from "./tauri";

/** The names declared in one module of the wire, e.g. `pub mod commands { ... }`. */
function declared(module: string): string[] {
  const body = wire.split(`pub mod ${module} {`)[1]?.split("\n}")[0] ?? "";
  return [...body.matchAll(/pub const \w+: &str = "([^"]+)"/g)].map(([, name]) => name!).sort();
}

let asked: [string, unknown][] = [];

beforeEach(() => {
  asked = [];
  mockWindows("dashboard", "phone");
  mockIPC((command, payload) => {
    asked.push([command, payload]);
    return null;
  });
});

afterEach(() => clearMocks());

async function askForEverything(app: Platform) {
  await app.phoneView();
  await app.dashboardView();
  await app.signIn({ server: "http://127.0.0.1:1", username: "u", password: "p" });
  await app.cancelSignIn();
  await app.signOut();
  await app.tryHere();
  await app.dial("600");
  await app.answer(1);
  await app.decline(2);
  await app.hangUp(3);
  await app.prove("1002");
  await app.transfer(4, "1002");
  await app.setMuted(true);
  await app.openDashboard();
  await app.takeOver();
  await app.explain("1001", 7);
  await app.pause("1002", "lunch");
}

describe("the app behind the windows", () => {
  it("is asked by the commands that the wire declares, all of them and no others", async () => {
    await askForEverything(tauri());
    expect(asked.map(([command]) => command).sort()).toEqual(declared("commands"));
  });

  it("gets the arguments under the names that the wire declares", async () => {
    await askForEverything(tauri());
    expect(Object.fromEntries(asked)).toMatchObject({
      sign_in: { request: { server: "http://127.0.0.1:1", username: "u", password: "p" } },
      dial: { target: "600" },
      answer: { call: 1 },
      decline: { call: 2 },
      hang_up: { call: 3 },
      prove: { extension: "1002" },
      transfer: { call: 4, target: "1002" },
      set_muted: { muted: true },
      explain: { extension: "1001", at: 7 },
      pause: { extension: "1002", reason: "lunch" },
    });
  });

  it("is listened to by the events that the wire declares", async () => {
    const app = tauri();
    await app.onPhoneView(() => {});
    await app.onDashboardView(() => {});
    const events = asked.map(([, payload]) => (payload as { event: string }).event).sort();
    expect(events).toEqual(declared("events"));
  });

  it("says by its label which window this is", () => {
    expect(tauri().window).toBe("dashboard");
  });
});
