import { CircleAlert, Eye, EyeOff, Search, X } from "lucide-react";
import { useState, type ReactElement, type Ref } from "react";
import {
  FieldError,
  Group,
  Input,
  Label,
  SearchField as AriaSearchField,
  Text,
  TextField as AriaTextField,
  type SearchFieldProps as AriaSearchFieldProps,
  type TextFieldProps as AriaTextFieldProps,
} from "react-aria-components";

import { text } from "../text";
import { IconButton, ToggleIconButton } from "./Button";
import css from "./controls.module.css";

interface TextFieldProps extends Omit<AriaTextFieldProps, "className" | "style" | "children" | "isInvalid"> {
  label: string;
  hint?: string;
  /** What is wrong with the value, tied to the field for assistive technology. */
  error?: string;
  placeholder?: string;
  inputRef?: Ref<HTMLInputElement>;
  /** A control inside of the box, at its end. */
  end?: ReactElement;
}

export function TextField({ label, hint, error, placeholder, inputRef, end, ...props }: TextFieldProps) {
  return (
    <AriaTextField {...props} className={css.field} isInvalid={error !== undefined} validationBehavior="aria">
      <Label className={css.label}>{label}</Label>
      <Group className={css.box} role="presentation" isDisabled={props.isDisabled} isInvalid={error !== undefined}>
        <Input className={css.input} placeholder={placeholder} ref={inputRef} autoCapitalize="none" />
        {end}
      </Group>
      {hint && !error && (
        <Text slot="description" className={css.hint}>
          {hint}
        </Text>
      )}
      <FieldError className={css.error}>
        <CircleAlert aria-hidden />
        <span>{error}</span>
      </FieldError>
    </AriaTextField>
  );
}

/** A password, with a button that shows it. */
export function PasswordField(props: Omit<TextFieldProps, "type" | "end">) {
  const [shown, setShown] = useState(false);
  const show = (
    <ToggleIconButton
      label={text.login.showPassword}
      icon={shown ? <EyeOff aria-hidden /> : <Eye aria-hidden />}
      size="small"
      isSelected={shown}
      onChange={setShown}
      isDisabled={props.isDisabled}
    />
  );
  return <TextField {...props} type={shown ? "text" : "password"} end={show} />;
}

interface SearchFieldProps extends Omit<AriaSearchFieldProps, "className" | "style" | "children"> {
  label: string;
  placeholder?: string;
}

export function SearchField({ label, placeholder, ...props }: SearchFieldProps) {
  return (
    <AriaSearchField {...props} aria-label={label} className={css.field}>
      {({ isEmpty }) => (
        <Group className={css.box} role="presentation">
          <Search aria-hidden />
          <Input className={css.input} placeholder={placeholder} />
          {!isEmpty && <IconButton label={text.board.clearSearch} icon={<X aria-hidden />} size="small" />}
        </Group>
      )}
    </AriaSearchField>
  );
}
