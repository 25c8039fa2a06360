import { PhoneForwarded } from "lucide-react";
import { useRef, useState } from "react";
import { Button as AriaButton, Dialog, Form, Heading, Modal, ModalOverlay } from "react-aria-components";

import { Button } from "../../design/Button";
import controls from "../../design/controls.module.css";
import { TextField } from "../../design/fields";
import { StatusChip, STATUSES } from "../../design/StatusChip";
import type { CallView } from "../../generated/CallView";
import type { Colleague } from "../../generated/Colleague";
import { usePlatform } from "../../platform";
import { text } from "../../text";
import { asError, errorSentence } from "../../text/format";
import { peerName } from "./peer";
import css from "./TransferDialog.module.css";

const words = text.phone;

interface TransferDialogProps {
  call: CallView;
  colleagues: Colleague[];
  isOpen: boolean;
  onClose: () => void;
}

/** Asks to whom a call is to go. */
export function TransferDialog({ isOpen, onClose, ...props }: TransferDialogProps) {
  return (
    <ModalOverlay className={controls.overlay} isOpen={isOpen} onOpenChange={(open) => !open && onClose()} isDismissable>
      <Modal className={controls.modal}>
        <Dialog className={controls.dialog}>
          <Heading slot="title" className={controls.dialogTitle}>
            {words.transferCall(peerName(props.call))}
          </Heading>
          <Choice {...props} onClose={onClose} />
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}

/** Who can be called first. */
function byState(one: Colleague, other: Colleague): number {
  const place = ({ status }: Colleague) => STATUSES.indexOf(status);
  return place(one) - place(other) || one.extension.localeCompare(other.extension);
}

/** What is known of the one who was chosen. */
type Asked =
  | { kind: "asking"; target: string }
  | { kind: "refused"; target: string; why: string };

function Choice({ call, colleagues, onClose }: Omit<TransferDialogProps, "isOpen">) {
  const platform = usePlatform();
  const [typed, setTyped] = useState("");
  const [asked, setAsked] = useState<Asked | null>(null);
  const [problem, setProblem] = useState<string | undefined>();
  // An answer that comes after another choice is nobody's.
  const question = useRef(0);
  const target = typed.replace(/\s/g, "");
  const fitting = colleagues.filter(({ extension }) => extension.includes(target)).sort(byState);

  function change(value: string) {
    question.current++;
    setTyped(value);
    setAsked(null);
    setProblem(undefined);
  }

  async function transfer(to: string) {
    try {
      await platform.transfer(call.id, to);
      onClose();
    } catch (refusal) {
      setAsked(null);
      setProblem(errorSentence(asError(refusal)));
    }
  }

  /** What the board said last may be over: who is on it is asked about at the click. */
  async function choose(to: string) {
    if (to === "") return setProblem(words.transferNeedsTarget);
    setProblem(undefined);
    if (!colleagues.some(({ extension }) => extension === to)) return transfer(to);
    const mine = ++question.current;
    setAsked({ kind: "asking", target: to });
    const why = await doubt(to);
    if (mine !== question.current) return;
    if (why === undefined) return transfer(to);
    setAsked({ kind: "refused", target: to, why });
  }

  /** Why a call should not go there; nothing where it may. */
  async function doubt(to: string): Promise<string | undefined> {
    try {
      const { available, agent } = await platform.prove(to);
      return available ? undefined : words.transferNot(to, text.status[agent.status]);
    } catch (refusal) {
      return `${words.transferNotProved(to)} ${errorSentence(asError(refusal))}`;
    }
  }

  return (
    <Form
      className={css.form}
      onSubmit={(event) => {
        event.preventDefault();
        void choose(target);
      }}
    >
      <TextField
        label={words.transferTo}
        placeholder={words.transferPlaceholder}
        inputMode="tel"
        autoComplete="off"
        spellCheck="false"
        autoFocus
        value={typed}
        onChange={change}
        error={problem}
      />
      {fitting.length > 0 ? (
        <ul className={css.list}>
          {fitting.map(({ extension, status }) => (
            <li key={extension}>
              <AriaButton className={css.colleague} onPress={() => void choose(extension)}>
                {extension}
                <StatusChip status={status} />
              </AriaButton>
            </li>
          ))}
        </ul>
      ) : (
        target !== "" && <p className={css.hint}>{words.transferNobody}</p>
      )}
      <p className={css.hint} role="status">
        {asked?.kind === "asking" && words.transferChecking(asked.target)}
      </p>
      {asked?.kind === "refused" ? (
        <>
          <p className={css.refused} role="alert">
            {asked.why}
          </p>
          <div className={controls.dialogActions}>
            <Button onPress={() => change("")}>{words.transferBack}</Button>
            <Button look="bad" onPress={() => void transfer(asked.target)}>
              {words.transferAnyway}
            </Button>
          </div>
        </>
      ) : (
        <div className={controls.dialogActions}>
          <Button onPress={onClose}>{words.cancel}</Button>
          <Button type="submit" look="primary" isPending={asked?.kind === "asking"}>
            <PhoneForwarded aria-hidden />
            {words.transfer}
          </Button>
        </div>
      )}
    </Form>
  );
}
