import { ChevronDown, MonitorDown, Server } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { Button as AriaButton, Disclosure, DisclosurePanel, Form } from "react-aria-components";

import { Button } from "../../design/Button";
import { classes } from "../../design/classes";
import controls from "../../design/controls.module.css";
import { PasswordField, TextField } from "../../design/fields";
import { Logo } from "../../design/Logo";
import { Notice, Notices } from "../../design/Notice";
import { Progress } from "../../design/Progress";
import type { DemoPerson } from "../../generated/DemoPerson";
import type { ErrorBody } from "../../generated/ErrorBody";
import type { Notice as NoticeView } from "../../generated/Notice";
import type { PhoneScreen } from "../../generated/PhoneScreen";
import type { SignIn } from "../../generated/SignIn";
import { useCommand, usePlatform } from "../../platform";
import { text } from "../../text";
import { errorSentence } from "../../text/format";
import { DemoCard } from "./DemoCard";
import css from "./LoginPage.module.css";

type LoginScreen = Extract<PhoneScreen, { kind: "login" }>;
type Field = keyof SignIn;

const FIELDS: readonly Field[] = ["server", "username", "password"];

interface LoginPageProps {
  screen: LoginScreen;
  version: string;
  notices: NoticeView[];
}

export function LoginPage({ screen, version, notices }: LoginPageProps) {
  const platform = usePlatform();
  const command = useCommand();
  const [request, setRequest] = useState<SignIn>(() => ({
    server: screen.server,
    username: screen.username,
    password: "",
  }));
  const [serverOpen, setServerOpen] = useState(screen.server === "");
  const [failure, setFailure] = useState<ErrorBody | null>(worthSaying(screen.error));
  const inputs = { server: useInput(), username: useInput(), password: useInput() };

  const busy = screen.progress !== null || command.running;
  const field = FIELDS.find((name) => name === failure?.field);

  // "Try it on this computer" finds its server's address only once that runs.
  useEffect(() => setRequest((before) => ({ ...before, server: screen.server })), [screen.server]);

  // The app's word on the last sign-in, and a command's own refusal, are shown the same way.
  // It repeats an error with every view; only another one is news.
  const errorNow = JSON.stringify(screen.error);
  useEffect(() => setFailure(worthSaying(screen.error)), [errorNow]);
  useEffect(() => {
    if (command.error) setFailure(worthSaying(command.error));
  }, [command.error]);

  // Once there is something to do, the cursor goes there: to the wrong field, else to the first empty one. An error
  // that goes away because somebody types must not move it.
  const wasBusy = useRef(true);
  useEffect(() => {
    const somethingToDo = !busy && (wasBusy.current || failure !== null);
    wasBusy.current = busy;
    if (!somethingToDo) return;
    if (field === "server") setServerOpen(true);
    const empty = FIELDS.find((name) => request[name] === "") ?? "password";
    inputs[field ?? empty].current?.focus();
  }, [failure, busy]);

  function change(name: Field, value: string) {
    setRequest((before) => ({ ...before, [name]: value }));
    if (failure?.field === name) setFailure(null);
  }

  function fillIn(person: DemoPerson) {
    setRequest((before) => ({ ...before, username: person.username, password: person.password }));
    setFailure(null);
  }

  function submit() {
    if (busy) return;
    const missing = missingField(request);
    if (missing) return setFailure(missing);
    setFailure(null);
    void command.run(platform.signIn({ ...request, server: request.server.trim(), username: request.username.trim() }));
  }

  function tryHere() {
    setFailure(null);
    void command.run(platform.tryHere());
  }

  const errorOf = (name: Field) => (failure && field === name ? errorSentence(failure) : undefined);

  return (
    <main className={classes(css.page, screen.demo !== null && css.withDemo)}>
      <header className={css.head}>
        <Logo size={screen.demo ? 40 : 56} />
        <h1 className={css.title}>{text.login.title}</h1>
        {!screen.demo && <p className={css.subtitle}>{text.login.subtitle}</p>}
      </header>

      {screen.demo && <DemoCard demo={screen.demo} onFillIn={fillIn} isDisabled={busy} />}

      <Notices notices={notices} />
      {failure && !field && <Notice severity="error" what={failure.message} next={failure.next} />}

      <Form
        className={css.form}
        aria-label={text.login.title}
        onSubmit={(event) => {
          event.preventDefault();
          submit();
        }}
      >
        <Disclosure className={css.server} isExpanded={serverOpen} onExpandedChange={setServerOpen}>
          <AriaButton slot="trigger" className={classes(controls.button, controls.quiet, controls.small, css.serverButton)}>
            <Server aria-hidden />
            <span className={css.serverAddress}>
              {serverOpen || request.server === "" ? text.login.server : text.login.serverAt(host(request.server))}
            </span>
            <ChevronDown aria-hidden className={css.chevron} />
          </AriaButton>
          <DisclosurePanel className={css.serverPanel}>
            <TextField
              label={text.login.serverAddress}
              hint={text.login.serverHint}
              name="server"
              type="url"
              autoComplete="url"
              inputRef={inputs.server}
              value={request.server}
              onChange={(value) => change("server", value)}
              error={errorOf("server")}
              isDisabled={busy}
            />
          </DisclosurePanel>
        </Disclosure>
        <TextField
          label={text.login.username}
          name="username"
          autoComplete="username"
          spellCheck="false"
          inputRef={inputs.username}
          value={request.username}
          onChange={(value) => change("username", value)}
          error={errorOf("username")}
          isDisabled={busy}
        />
        <PasswordField
          label={text.login.password}
          name="password"
          autoComplete="current-password"
          inputRef={inputs.password}
          value={request.password}
          onChange={(value) => change("password", value)}
          error={errorOf("password")}
          isDisabled={busy}
        />
        <div className={css.actions}>
          {busy ? (
            <SignInProgress screen={screen} onCancel={() => void platform.cancelSignIn()} />
          ) : (
            <Button type="submit" look="primary" size="large" wide>
              {text.login.signIn}
            </Button>
          )}
        </div>
      </Form>

      {screen.canTryHere && !busy && (
        <section className={css.try}>
          {!screen.demo && <div className={css.or}>{text.login.or}</div>}
          <Button onPress={tryHere} look={screen.demo ? "quiet" : "neutral"} wide>
            <MonitorDown aria-hidden />
            {text.login.tryHere}
          </Button>
          {!screen.demo && <p className={css.tryHint}>{text.login.tryHereHint}</p>}
        </section>
      )}

      <footer className={css.version}>{text.login.version(version)}</footer>
    </main>
  );
}

function SignInProgress({ screen, onCancel }: { screen: LoginScreen; onCancel: () => void }) {
  const step = screen.progress ? text.login.steps[screen.progress] : text.login.signingIn;
  return (
    <div className={css.progress} role="status">
      <Progress label={`${step} …`} />
      <Button onPress={onCancel} wide>
        {text.login.cancel}
      </Button>
    </div>
  );
}

/** What the form itself can tell without asking anybody. */
function missingField(request: SignIn): ErrorBody | undefined {
  const words: Record<Field, string> = {
    server: text.login.needServer,
    username: text.login.needUsername,
    password: text.login.needPassword,
  };
  const field = FIELDS.find((name) => request[name].trim() === "");
  return field && { code: "missing", message: words[field], field };
}

/** Who cancels knows it. */
function worthSaying(error: ErrorBody | null): ErrorBody | null {
  return error?.code === "cancelled" ? null : error;
}

function host(address: string): string {
  return address.replace(/^https?:\/\//, "").replace(/\/$/, "");
}

function useInput() {
  return useRef<HTMLInputElement>(null);
}
