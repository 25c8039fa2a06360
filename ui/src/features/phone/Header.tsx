import { EllipsisVertical, Headset, LayoutList, LogOut, Monitor, Moon, Sun, UserRound } from "lucide-react";
import { useState } from "react";

import { ConfirmDialog } from "../../design/ConfirmDialog";
import { IconMenu, MenuChoice, MenuItem, MenuSeparator } from "../../design/Menu";
import { useTheme, type Theme } from "../../design/theme";
import type { SignedIn } from "../../generated/SignedIn";
import { usePlatform } from "../../platform";
import { text } from "../../text";
import type { Run } from "./run";
import css from "./PhonePage.module.css";

interface HeaderProps {
  user: SignedIn;
  inCall: boolean;
  signingOut: boolean;
  run: Run;
}

/** Who is signed in, and what is not about calls. */
export function Header({ user, inCall, signingOut, run }: HeaderProps) {
  const platform = usePlatform();
  const [asking, setAsking] = useState(false);
  const [theme, chooseTheme] = useTheme();

  function signOut() {
    if (inCall) setAsking(true);
    else void run(platform.signOut());
  }

  function answered(confirmed: boolean) {
    setAsking(false);
    if (confirmed) void run(platform.signOut());
  }

  return (
    <header className={css.header}>
      <span className={css.badge}>{user.extension ? <Headset aria-hidden /> : <UserRound aria-hidden />}</span>
      <div className={css.who}>
        <p className={css.name}>{user.username}</p>
        <p className={css.extension}>
          {user.extension ? text.phone.extension(user.extension) : text.phone.roles[user.role]}
        </p>
      </div>
      <IconMenu label={text.phone.menu} icon={<EllipsisVertical aria-hidden />}>
        <MenuItem
          label={text.phone.openBoard}
          icon={<LayoutList aria-hidden />}
          onAction={() => void run(platform.openDashboard())}
        />
        <MenuSeparator />
        <MenuChoice
          label={text.theme.label}
          selectedKeys={[theme]}
          onSelectionChange={(keys) => chooseTheme([...keys][0] as Theme)}
        >
          <MenuItem id="system" label={text.theme.system} icon={<Monitor aria-hidden />} />
          <MenuItem id="light" label={text.theme.light} icon={<Sun aria-hidden />} />
          <MenuItem id="dark" label={text.theme.dark} icon={<Moon aria-hidden />} />
        </MenuChoice>
        <MenuSeparator />
        <MenuItem
          label={text.phone.signOut}
          icon={<LogOut aria-hidden />}
          isDisabled={signingOut}
          onAction={signOut}
        />
      </IconMenu>
      <ConfirmDialog
        title={text.phone.signOutInCall}
        what={text.phone.signOutInCallWhat}
        confirm={text.phone.signOutAfterCall}
        refuse={text.phone.staySignedIn}
        isOpen={asking}
        onAnswer={answered}
      />
    </header>
  );
}
