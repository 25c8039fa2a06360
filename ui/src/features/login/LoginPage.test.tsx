import { act, screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";

import { expectAccessible, showPhone } from "../../../tests/show";
import { demo, login } from "../../platform/scenes";

const username = () => screen.getByRole("textbox", { name: "User name" });
const password = () => screen.getByLabelText("Password");
const signIn = () => screen.getByRole("button", { name: "Sign in" });

const wrongPassword = {
  code: "wrong_credentials",
  field: "password",
  message: "User name or password is wrong.",
  next: "Check both.",
};

describe("signing in", () => {
  it("hands server, user name and password to the app, by keyboard alone", async () => {
    const { app, user } = await showPhone(login());
    expect(username()).toHaveFocus();
    await user.keyboard("agent1001{Tab}secret{Enter}");
    expect(app.asked).toEqual([
      ["signIn", { server: "http://127.0.0.1:8080", username: "agent1001", password: "secret" }],
    ]);
  });

  it("says what is missing at the field, and asks nobody", async () => {
    const { app, user } = await showPhone(login());
    await user.click(signIn());
    expect(username()).toBeInvalid();
    expect(username()).toHaveAccessibleDescription("Enter your user name.");
    expect(username()).toHaveFocus();
    await user.keyboard("agent1001");
    expect(username()).toBeValid();
    expect(username()).toHaveValue("agent1001");
    await user.click(signIn());
    expect(password()).toHaveAccessibleDescription("Enter your password.");
    expect(app.asked).toEqual([]);
  });

  it("ties an error to the field it names, with the next step, and puts the cursor there", async () => {
    const { container } = await showPhone(login({ username: "agent1001", error: wrongPassword }));
    expect(password()).toBeInvalid();
    expect(password()).toHaveAccessibleDescription("User name or password is wrong. Check both.");
    expect(password()).toHaveFocus();
    await expectAccessible(container);
  });

  it("shows an error without a field above the form, as an alert", async () => {
    await showPhone(login({ error: { code: "away", message: "The server does not answer.", next: "Check the address." } }));
    expect(screen.getByRole("alert")).toHaveTextContent("The server does not answer.");
    expect(screen.getByRole("alert")).toHaveTextContent("Check the address.");
  });

  it("opens the server's part when the error is about the server", async () => {
    const { user } = await showPhone(login());
    expect(screen.queryByRole("textbox", { name: "Server address" })).not.toBeInTheDocument();
    expect(screen.getByRole("button", { name: "Server 127.0.0.1:8080" })).toBeVisible();
    await user.click(screen.getByRole("button", { name: "Server 127.0.0.1:8080" }));
    const server = screen.getByRole("textbox", { name: "Server address" });
    await user.clear(server);
    await user.click(signIn());
    expect(server).toHaveAccessibleDescription("Enter the server’s address.");
  });

  it("shows a refused command like any other error", async () => {
    const { app, user } = await showPhone(login({ username: "agent1001" }));
    app.refuse("signIn", { code: "away", message: "The server does not answer." });
    await user.type(password(), "secret{Enter}");
    expect(await screen.findByRole("alert")).toHaveTextContent("The server does not answer.");
  });

  it("names every step, and can be cancelled", async () => {
    const { app, user, container } = await showPhone(login({ progress: "checkingPassword" }));
    expect(screen.getByRole("progressbar", { name: /Checking password/ })).toBeVisible();
    expect(screen.queryByRole("button", { name: "Sign in" })).not.toBeInTheDocument();
    act(() => app.showPhone(login({ progress: "registeringPhone" })));
    expect(screen.getByRole("progressbar", { name: /Registering phone/ })).toBeVisible();
    act(() => app.showPhone(login({ progress: "tellingServer" })));
    expect(screen.getByRole("progressbar", { name: /Telling the server/ })).toBeVisible();
    await expectAccessible(container);
    await user.click(screen.getByRole("button", { name: "Cancel" }));
    expect(app.asked).toEqual([["cancelSignIn"]]);
    act(() => app.showPhone(login({ error: { code: "cancelled", message: "The sign-in was cancelled." } })));
    expect(screen.queryByRole("alert")).not.toBeInTheDocument();
    expect(signIn()).toBeEnabled();
  });

  it("does not bring an error back, or move the cursor, when the app repeats it", async () => {
    const { app, user } = await showPhone(login({ username: "agent1001", error: wrongPassword }));
    await user.type(password(), "se");
    expect(password()).toBeValid();
    act(() => app.showPhone(login({ username: "agent1001", error: { ...wrongPassword } })));
    expect(password()).toBeValid();
    await user.click(username());
    act(() => app.showPhone(login({ username: "agent1001", error: { ...wrongPassword } })));
    expect(username()).toHaveFocus();
  });

  it("shows the app's notices", async () => {
    const error = { code: "no_keychain", message: "There is no keychain.", next: "You sign in at each start." };
    await showPhone({ ...login(), notices: [{ severity: "info", error }] });
    expect(screen.getByText(/There is no keychain./)).toBeVisible();
  });

  it("shows and hides the password", async () => {
    const { user } = await showPhone(login());
    await user.type(password(), "secret");
    expect(password()).toHaveAttribute("type", "password");
    await user.click(screen.getByRole("button", { name: "Show password" }));
    expect(screen.getByRole("textbox", { name: "Password" })).toHaveValue("secret");
  });
});

describe("the demo", () => {
  it("says how to sign in, and fills the form in", async () => {
    const { app, user, container } = await showPhone(login({ demo }));
    const card = screen.getByRole("region", { name: "Demo" });
    expect(card).toHaveTextContent(demo.hint);
    await user.click(within(card).getByRole("button", { name: "Fill in Agent 1002" }));
    await user.click(signIn());
    expect(app.asked).toEqual([
      ["signIn", { server: "http://127.0.0.1:8080", username: "agent1002", password: "demo-1002" }],
    ]);
    await expectAccessible(container);
  });

  it("is not spoken of where there is none", async () => {
    await showPhone(login());
    expect(screen.queryByRole("region", { name: "Demo" })).not.toBeInTheDocument();
    expect(screen.queryByRole("button", { name: "Try it on this computer" })).not.toBeInTheDocument();
  });

  it("takes the server's address that trying it here has found", async () => {
    const { app, user } = await showPhone(login({ server: "", canTryHere: true }));
    await user.click(screen.getByRole("button", { name: "Try it on this computer" }));
    expect(app.asked).toEqual([["tryHere"]]);
    act(() => app.showPhone(login({ server: "", progress: "starting" })));
    expect(screen.getByRole("progressbar", { name: /Starting the demo/ })).toBeVisible();
    act(() => app.showPhone(login({ server: "http://127.0.0.1:4711", demo })));
    await waitFor(() => expect(screen.queryByRole("progressbar")).not.toBeInTheDocument());
    await user.click(screen.getByRole("button", { name: "Fill in Agent 1001" }));
    await user.click(signIn());
    expect(app.asked.at(-1)).toEqual([
      "signIn",
      { server: "http://127.0.0.1:4711", username: "agent1001", password: "demo-1001" },
    ]);
  });
});
