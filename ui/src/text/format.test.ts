import { describe, expect, it } from "vitest";

import { asError, duration, reasonWords, tellingReasons } from "./format";
import { text } from "./index";

const MINUTE = 60_000;

describe("a duration", () => {
  it.each([
    [0, "00:00"],
    [9_999, "00:09"],
    [59 * MINUTE + 59_000, "59:59"],
    [60 * MINUTE, "1:00:00"],
    [24 * 60 * MINUTE - 1, "23:59:59"],
    [52 * 60 * MINUTE, "2 d 4 h"],
  ])("of %i ms reads %s", (passed, words) => {
    expect(duration(1_000_000, 1_000_000 + passed)).toBe(words);
  });

  it("is never negative, whatever the clocks say", () => {
    expect(duration(2_000, 1_000)).toBe("00:00");
  });
});

describe("a refusal", () => {
  it("in the one shape of errors is shown as it is", () => {
    const error = { code: "x", message: "Because." };
    expect(asError(error)).toBe(error);
  });

  it.each(["boom", null, undefined, 7, new Error("boom"), { code: 1, message: "x" }])("of another kind (%s) gets words", (refusal) => {
    expect(asError(refusal)).toBe(text.unexpected);
  });
});

it("has words for a reason that this version does not know", () => {
  expect(reasonWords({ code: "solar_flare", since: 0 })).toEqual({ what: "Solar flare.", next: undefined });
});

describe("the reasons beside a state", () => {
  it("leave out the one that only says the state again", () => {
    const call = { code: "on_call", message: "on a call", since: 1 };
    const lost = { code: "app_lost", since: 1 };
    expect(tellingReasons("OnCall", [call, lost])).toEqual([lost]);
    expect(tellingReasons("NotAvailable", [call, lost])).toEqual([call, lost]);
  });
});
