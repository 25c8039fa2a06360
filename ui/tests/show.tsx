import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import axe from "axe-core";
import { expect } from "vitest";

import { App } from "../src/App";
import type { DashboardView } from "../src/generated/DashboardView";
import type { PhoneView } from "../src/generated/PhoneView";
import { Double } from "../src/platform/double";

/** The phone window on a double of the app that shows this view. */
export async function showPhone(view: PhoneView) {
  return show(new Double("phone", view));
}

/** The dashboard window, likewise. */
export async function showBoard(view: DashboardView) {
  return show(new Double("dashboard", undefined, view));
}

async function show(app: Double) {
  const user = userEvent.setup();
  const { container } = render(<App platform={app} />);
  // A question that is asked at once hides what lies behind it.
  await screen.findByRole("heading", { level: 1, hidden: true });
  return { app, user, container };
}

/** Contrast needs real pixels, which jsdom has not: it is judged on the pictures. */
export async function expectAccessible(container: Element) {
  const { violations } = await axe.run(container, { rules: { "color-contrast": { enabled: false } } });
  expect(violations.map(({ id, nodes }) => ({ id, html: nodes.map((node) => node.html) }))).toEqual([]);
}
