import { Dialog, Heading, Modal, ModalOverlay } from "react-aria-components";

import { Button } from "./Button";
import css from "./controls.module.css";

interface ConfirmDialogProps {
  title: string;
  what: string;
  confirm: string;
  refuse: string;
  isOpen: boolean;
  onAnswer: (confirmed: boolean) => void;
}

/** Asks before something that is not what a person may expect. Escape means no. */
export function ConfirmDialog({ title, what, confirm, refuse, isOpen, onAnswer }: ConfirmDialogProps) {
  return (
    <ModalOverlay className={css.overlay} isOpen={isOpen} onOpenChange={(open) => !open && onAnswer(false)}>
      <Modal className={css.modal}>
        <Dialog role="alertdialog" className={css.dialog}>
          <Heading slot="title" className={css.dialogTitle}>
            {title}
          </Heading>
          <p>{what}</p>
          <div className={css.dialogActions}>
            <Button onPress={() => onAnswer(false)} autoFocus>
              {refuse}
            </Button>
            <Button look="primary" onPress={() => onAnswer(true)}>
              {confirm}
            </Button>
          </div>
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}
