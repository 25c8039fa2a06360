import { CircleAlert, RotateCw } from "lucide-react";
import { Component, useEffect, type ReactNode } from "react";
import { I18nProvider } from "react-aria-components";

import { Button } from "./design/Button";
import { Empty } from "./design/Empty";
import { Progress } from "./design/Progress";
import { useTheme } from "./design/theme";
import css from "./App.module.css";
import { DashboardPage } from "./features/dashboard/DashboardPage";
import { LoginPage } from "./features/login/LoginPage";
import { PhonePage } from "./features/phone/PhonePage";
import type { ErrorBody } from "./generated/ErrorBody";
import { PlatformProvider, useDashboardView, usePhoneView, type Platform } from "./platform";
import { text } from "./text";

/** One bundle for both windows: the platform says which one this is. */
export function App({ platform }: { platform: Platform }) {
  const dashboard = platform.window === "dashboard";
  useEffect(() => {
    document.title = dashboard ? text.boardTitle : text.productName;
  }, [dashboard]);

  return (
    <I18nProvider locale="en">
      <Crash>
        <PlatformProvider platform={platform}>{dashboard ? <DashboardWindow /> : <PhoneWindow />}</PlatformProvider>
      </Crash>
    </I18nProvider>
  );
}

function PhoneWindow() {
  const loaded = usePhoneView();
  useTheme();
  if (loaded.kind !== "ready") return <NotYet loaded={loaded} />;
  const { screen, version, notices } = loaded.view;
  switch (screen.kind) {
    case "login":
      return <LoginPage screen={screen} version={version} notices={notices} />;
    case "phone":
      return <PhonePage screen={screen} notices={notices} />;
  }
}

function DashboardWindow() {
  const loaded = useDashboardView();
  useTheme();
  if (loaded.kind !== "ready") return <NotYet loaded={loaded} />;
  return <DashboardPage view={loaded.view} />;
}

function NotYet({ loaded }: { loaded: { kind: "loading" } | { kind: "failed"; error: ErrorBody; retry: () => void } }) {
  return (
    <main className={css.whole}>
      {loaded.kind === "loading" ? (
        <div className={css.loading} role="status">
          <Progress label={`${text.loading} …`} />
        </div>
      ) : (
        <Trouble error={loaded.error} onRetry={loaded.retry} />
      )}
    </main>
  );
}

function Trouble({ error, onRetry }: { error: ErrorBody; onRetry: () => void }) {
  return (
    <Empty
      icon={<CircleAlert aria-hidden />}
      title={error.message}
      what={error.next ?? ""}
      action={
        <Button look="primary" onPress={onRetry}>
          <RotateCw aria-hidden />
          {text.retry}
        </Button>
      }
    />
  );
}

/** A mistake in the page must not leave an empty window behind. */
class Crash extends Component<{ children: ReactNode }, { crashed: boolean }> {
  override state = { crashed: false };

  static getDerivedStateFromError() {
    return { crashed: true };
  }

  override render() {
    if (!this.state.crashed) return this.props.children;
    return (
      <main className={css.whole}>
        <Trouble error={text.crashed} onRetry={() => location.reload()} />
      </main>
    );
  }
}
