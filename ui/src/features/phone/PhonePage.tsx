import { LayoutList } from "lucide-react";

import { Button } from "../../design/Button";
import { ConfirmDialog } from "../../design/ConfirmDialog";
import { Empty } from "../../design/Empty";
import { Notice, Notices } from "../../design/Notice";
import { Progress } from "../../design/Progress";
import type { Notice as NoticeView } from "../../generated/Notice";
import type { PhoneScreen } from "../../generated/PhoneScreen";
import { useCommand, usePlatform } from "../../platform";
import { text } from "../../text";
import { PauseControl } from "../pause/PauseControl";
import { Calls } from "./Calls";
import { Connections } from "./Connections";
import { DialPad } from "./DialPad";
import { Header } from "./Header";
import { OwnStateCard } from "./OwnStateCard";
import css from "./PhonePage.module.css";

type Screen = Extract<PhoneScreen, { kind: "phone" }>;

export function PhonePage({ screen, notices }: { screen: Screen; notices: NoticeView[] }) {
  const platform = usePlatform();
  const command = useCommand();
  const { user, own, calls, colleagues, muted, speakingMuted, levels, signingOut, inUse } = screen;
  const hasPhone = user.extension !== null;
  const inCall = calls.some((call) => call.state !== "ended");

  return (
    <div className={css.page}>
      <Header user={user} inCall={inCall} signingOut={signingOut} run={command.run} />
      <main className={css.body} aria-label={text.phone.window}>
        <h1 className="visually-hidden">{text.productName}</h1>
        <section className={css.notices} aria-label={text.phone.notices}>
          {command.error && (
            <Notice severity="error" what={command.error.message} next={command.error.next} onDismiss={command.forget} />
          )}
          <Notices notices={allNotices(screen, notices)} />
        </section>

        {signingOut && (
          <div className={css.signingOut} role="status">
            <Progress label={`${inCall ? text.phone.signingOutAfterCall : text.phone.signingOut} …`} />
          </div>
        )}

        {hasPhone ? (
          <>
            <Calls calls={calls} colleagues={colleagues} sound={{ muted, speakingMuted, levels }} run={command.run} />
            <OwnStateCard own={own}>
              <PauseControl
                extension={user.extension ?? ""}
                status={own.status}
                pause={own.pause}
                disabled={signingOut}
                run={command.run}
              />
            </OwnStateCard>
            <DialPad compact={inCall} disabled={signingOut} />
          </>
        ) : (
          <div className={css.noPhone}>
            <Empty
              icon={<LayoutList aria-hidden />}
              title={text.phone.noPhoneTitle}
              what={text.phone.noPhoneWhat}
              action={
                <Button look="primary" size="large" onPress={() => void command.run(platform.openDashboard())}>
                  {text.phone.openBoard}
                </Button>
              }
            />
          </div>
        )}
      </main>
      <Connections own={own} />
      <ConfirmDialog
        title={text.phone.inUse}
        what={text.phone.inUseWhat}
        confirm={text.phone.takeOver}
        refuse={text.phone.signOutHere}
        isOpen={inUse !== null && !signingOut}
        onAnswer={(yes) => void command.run(yes ? platform.takeOver() : platform.signOut())}
      />
    </div>
  );
}

/** A failed registration is a notice too, unless the app has said the same already. */
function allNotices(screen: Screen, notices: NoticeView[]): NoticeView[] {
  const { phone } = screen.own;
  if (phone.kind !== "failed" || notices.some((notice) => notice.error.code === phone.error.code)) return notices;
  return [{ severity: "error", error: phone.error }, ...notices];
}
