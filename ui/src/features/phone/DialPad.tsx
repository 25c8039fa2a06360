import { ChevronDown, Delete, Phone } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { Button as AriaButton, Disclosure, DisclosurePanel, Form, Group } from "react-aria-components";

import { Button, IconButton } from "../../design/Button";
import { classes } from "../../design/classes";
import controls from "../../design/controls.module.css";
import { TextField } from "../../design/fields";
import { useCommand, usePlatform } from "../../platform";
import { text } from "../../text";
import { errorSentence } from "../../text/format";
import css from "./DialPad.module.css";

const KEYS = [
  ["1", ""],
  ["2", "ABC"],
  ["3", "DEF"],
  ["4", "GHI"],
  ["5", "JKL"],
  ["6", "MNO"],
  ["7", "PQRS"],
  ["8", "TUV"],
  ["9", "WXYZ"],
  ["*", ""],
  ["0", "+"],
  ["#", ""],
] as const;

/** Where a number is entered and called; folded away while a call is going on. */
export function DialPad({ compact, disabled }: { compact: boolean; disabled: boolean }) {
  const [open, setOpen] = useState(false);
  // Kept here, so that a call which puts the pad away leaves a half-typed number alone.
  const [number, setNumber] = useState("");

  // A call that begins puts the pad away, one that ends brings it back.
  useEffect(() => setOpen(false), [compact]);

  if (!compact) return <Dialer number={number} onNumber={setNumber} disabled={disabled} />;
  return (
    <Disclosure className={css.more} isExpanded={open} onExpandedChange={setOpen}>
      <AriaButton
        slot="trigger"
        className={classes(controls.button, controls.quiet, controls.small, css.moreButton)}
        isDisabled={disabled}
      >
        {text.phone.dialAnother}
        <ChevronDown aria-hidden className={css.chevron} />
      </AriaButton>
      <DisclosurePanel className={css.morePanel}>
        {open && <Dialer number={number} onNumber={setNumber} disabled={disabled} />}
      </DisclosurePanel>
    </Disclosure>
  );
}

interface DialerProps {
  number: string;
  onNumber: (number: string) => void;
  disabled: boolean;
}

function Dialer({ number, onNumber, disabled }: DialerProps) {
  const platform = usePlatform();
  const command = useCommand();
  const [problem, setProblem] = useState<string | undefined>();
  const input = useRef<HTMLInputElement>(null);

  useKeysAnywhere((key) => type(key), disabled);

  function type(more: string) {
    change(number + more);
    input.current?.focus();
  }

  function erase() {
    change(number.slice(0, -1));
    input.current?.focus();
  }

  function change(value: string) {
    onNumber(value);
    setProblem(undefined);
    command.forget();
  }

  async function call() {
    const target = number.replace(/\s/g, "");
    if (target === "") {
      setProblem(text.phone.needNumber);
      input.current?.focus();
      return;
    }
    if (await command.run(platform.dial(target))) onNumber("");
  }

  const error = problem ?? (command.error ? errorSentence(command.error) : undefined);

  return (
    <Form
      className={css.dial}
      aria-label={text.phone.dial}
      onSubmit={(event) => {
        event.preventDefault();
        void call();
      }}
    >
      <TextField
        label={text.phone.number}
        placeholder={text.phone.numberPlaceholder}
        inputMode="tel"
        autoComplete="off"
        spellCheck="false"
        autoFocus
        inputRef={input}
        value={number}
        onChange={change}
        error={error}
        isDisabled={disabled}
        end={
          number === "" ? undefined : (
            <IconButton
              label={text.phone.erase}
              icon={<Delete aria-hidden />}
              size="small"
              onPress={erase}
            />
          )
        }
      />
      <Group className={css.keys} aria-label={text.phone.keypad}>
        {KEYS.map(([digit, letters]) => (
          <AriaButton
            key={digit}
            className={css.key}
            isDisabled={disabled}
            preventFocusOnPress
            onPress={() => type(digit)}
          >
            <span className={css.digit}>{digit}</span>
            <span className={css.letters} aria-hidden>
              {letters}
            </span>
          </AriaButton>
        ))}
      </Group>
      <Button type="submit" look="good" size="large" wide isDisabled={disabled} isPending={command.running}>
        <Phone aria-hidden />
        {text.phone.call}
      </Button>
    </Form>
  );
}

/** Digits go to the number wherever the focus is, unless something else takes text. */
function useKeysAnywhere(onKey: (key: string) => void, disabled: boolean) {
  const latest = useRef(onKey);
  useEffect(() => {
    latest.current = onKey;
  });
  useEffect(() => {
    if (disabled) return;
    function onKeyDown(event: KeyboardEvent) {
      if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
      if (!/^[0-9*#+]$/.test(event.key) || takesText(event.target)) return;
      event.preventDefault();
      latest.current(event.key);
    }
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, [disabled]);
}

function takesText(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest("input, textarea, [role=menu], [role=alertdialog]") !== null;
}
