import { Check } from "lucide-react";
import type { ReactElement, ReactNode } from "react";
import {
  Header,
  Menu as AriaMenu,
  MenuItem as AriaMenuItem,
  MenuSection as AriaMenuSection,
  MenuTrigger,
  Popover,
  Separator,
  type MenuItemProps as AriaMenuItemProps,
  type MenuSectionProps as AriaMenuSectionProps,
} from "react-aria-components";

import { Button, IconButton } from "./Button";
import css from "./controls.module.css";

export function IconMenu({ label, icon, children }: { label: string; icon: ReactElement; children: ReactNode }) {
  return (
    <MenuTrigger>
      <IconButton label={label} icon={icon} />
      <Popover className={css.popover} placement="bottom end" offset={4}>
        <AriaMenu className={css.menu}>{children}</AriaMenu>
      </Popover>
    </MenuTrigger>
  );
}

interface ButtonMenuProps {
  label: string;
  icon: ReactElement;
  isDisabled?: boolean;
  children: ReactNode;
}

/** A menu behind a button that says what it is for. */
export function ButtonMenu({ label, icon, isDisabled, children }: ButtonMenuProps) {
  return (
    <MenuTrigger>
      <Button size="small" isDisabled={isDisabled}>
        {icon} {label}
      </Button>
      <Popover className={css.popover} placement="bottom start" offset={4}>
        <AriaMenu className={css.menu}>{children}</AriaMenu>
      </Popover>
    </MenuTrigger>
  );
}

interface MenuItemProps extends Omit<AriaMenuItemProps, "className" | "style" | "children" | "textValue"> {
  label: string;
  icon: ReactElement;
}

export function MenuItem({ label, icon, ...props }: MenuItemProps) {
  return (
    <AriaMenuItem {...props} textValue={label} className={css.menuItem}>
      {({ isSelected }) => (
        <>
          {icon}
          {label}
          {isSelected && <Check aria-hidden className={css.tick} />}
        </>
      )}
    </AriaMenuItem>
  );
}

interface MenuChoiceProps extends Omit<AriaMenuSectionProps<object>, "className" | "style" | "children"> {
  label: string;
  children: ReactNode;
}

/** A section of a menu of which one item is chosen. */
export function MenuChoice({ label, children, ...props }: MenuChoiceProps) {
  return (
    <AriaMenuSection {...props} selectionMode="single" disallowEmptySelection>
      <Header className={css.menuHeader}>{label}</Header>
      {children}
    </AriaMenuSection>
  );
}

export function MenuSeparator() {
  return <Separator className={css.separator} />;
}
