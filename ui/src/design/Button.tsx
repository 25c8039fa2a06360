import type { ReactElement, ReactNode, Ref } from "react";
import {
  Button as AriaButton,
  ToggleButton as AriaToggleButton,
  Tooltip,
  TooltipTrigger,
  type ButtonProps as AriaButtonProps,
  type ToggleButtonProps as AriaToggleButtonProps,
} from "react-aria-components";

import { classes } from "./classes";
import css from "./controls.module.css";

interface Look {
  /** What pressing it means: `good` takes or makes a call, `bad` ends one. */
  look?: "primary" | "neutral" | "quiet" | "good" | "bad";
  size?: "small" | "medium" | "large";
  wide?: boolean;
}

interface ButtonProps extends Omit<AriaButtonProps, "className" | "style" | "children">, Look {
  children: ReactNode;
  ref?: Ref<HTMLButtonElement>;
}

export function Button({ look, size, wide, ...props }: ButtonProps) {
  return <AriaButton {...props} className={lookOf({ look, size, wide })} />;
}

interface IconButtonProps extends Omit<ButtonProps, "children" | "aria-label" | "wide"> {
  /** Its accessible name, and its tooltip. */
  label: string;
  icon: ReactElement;
}

/** A button that shows an icon only: named for assistive technology, and by a tooltip for everybody else. */
export function IconButton({ label, icon, look = "quiet", size, ...props }: IconButtonProps) {
  return (
    <WithTooltip label={label}>
      <AriaButton {...props} aria-label={label} className={lookOf({ look, size }, css.iconOnly)}>
        {icon}
      </AriaButton>
    </WithTooltip>
  );
}

interface ToggleButtonProps extends Omit<AriaToggleButtonProps, "className" | "style" | "children">, Look {
  children: ReactNode;
}

export function ToggleButton({ look = "neutral", size, wide, ...props }: ToggleButtonProps) {
  return <AriaToggleButton {...props} className={lookOf({ look, size, wide })} />;
}

interface ToggleIconButtonProps extends Omit<ToggleButtonProps, "children" | "aria-label"> {
  label: string;
  icon: ReactElement;
}

export function ToggleIconButton({ label, icon, look = "quiet", size, ...props }: ToggleIconButtonProps) {
  return (
    <WithTooltip label={label}>
      <AriaToggleButton {...props} aria-label={label} className={lookOf({ look, size }, css.iconOnly)}>
        {icon}
      </AriaToggleButton>
    </WithTooltip>
  );
}

function WithTooltip({ label, children }: { label: string; children: ReactElement }) {
  return (
    <TooltipTrigger delay={500} closeDelay={100}>
      {children}
      <Tooltip className={css.tooltip} offset={6}>
        {label}
      </Tooltip>
    </TooltipTrigger>
  );
}

function lookOf({ look = "neutral", size = "medium", wide }: Look, more?: string): string {
  return classes(
    css.button,
    css[look],
    size === "small" && css.small,
    size === "large" && css.large,
    wide && css.wide,
    more,
  );
}
