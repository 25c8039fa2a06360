import { CircleCheck, CircleQuestionMark, CircleX, History, X, type LucideIcon } from "lucide-react";
import { useEffect, useState, type ReactNode } from "react";
import { Dialog, Heading, Modal, ModalOverlay } from "react-aria-components";

import { Button, IconButton } from "../../design/Button";
import { Elapsed, useNow } from "../../design/Elapsed";
import { TextField } from "../../design/fields";
import { Notice } from "../../design/Notice";
import { Progress } from "../../design/Progress";
import { StatusChip } from "../../design/StatusChip";
import type { ErrorBody } from "../../generated/ErrorBody";
import type { Explanation } from "../../generated/Explanation";
import type { LedgerLine } from "../../generated/LedgerLine";
import type { Term } from "../../generated/Term";
import type { Verdict } from "../../generated/Verdict";
import { useCommand, usePlatform } from "../../platform";
import { text } from "../../text";
import { asError, duration, fieldOfMoment, moment, reasonWords } from "../../text/format";
import { PauseControl } from "../pause/PauseControl";
import type { Row } from "./board";
import css from "./Explain.module.css";

const words = text.explain;

interface ExplainProps {
  /** The row that was clicked; the drawer is closed without one. */
  row: Row | undefined;
  /** Whoever looks may pause others. */
  mayPause: boolean;
  onClose: () => void;
}

/** Why a row says what it says: asked of the server, now or for a past moment. */
export function Explain({ row, mayPause, onClose }: ExplainProps) {
  return (
    <ModalOverlay className={css.overlay} isOpen={row !== undefined} onOpenChange={(open) => !open && onClose()} isDismissable>
      <Modal className={css.drawer}>
        <Dialog className={css.dialog}>
          <div className={css.top}>
            <Heading slot="title" className={css.title}>
              {words.title(row?.agent.extension ?? "")}
            </Heading>
            <IconButton label={words.close} icon={<X aria-hidden />} size="small" onPress={onClose} />
          </div>
          {row && mayPause && <Pausing key={`pause ${row.agent.extension}`} row={row} />}
          {row && <Answer key={row.agent.extension} row={row} />}
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}

/** Nobody is paused who is not there, or of whom nothing is known. */
function Pausing({ row }: { row: Row }) {
  const command = useCommand();
  const { extension, pause } = row.agent;
  if (row.status === "Offline" || row.status === "Unknown") return null;
  return (
    <>
      <PauseControl extension={extension} status={row.status} pause={pause} run={command.run} />
      {command.error && (
        <Notice severity="error" what={command.error.message} next={command.error.next} onDismiss={command.forget} />
      )}
    </>
  );
}

function Answer({ row }: { row: Row }) {
  const [at, setAt] = useState<number | null>(null);
  const asked = useExplanation(row, at);
  return (
    <>
      <Moment at={at} onChange={setAt} />
      {asked.error && <Notice severity="error" what={asked.error.message} next={asked.error.next} />}
      {asked.explained && <Explained explained={asked.explained} past={at !== null} onShowThen={setAt} />}
      {!asked.error && !asked.explained && (
        <div className={css.loading} role="status">
          <Progress label={`${words.loading} …`} />
        </div>
      )}
    </>
  );
}

interface Asked {
  explained?: Explanation;
  error?: ErrorBody;
}

/** Asked anew for another moment, and of the present whenever the row says something else. */
function useExplanation(row: Row, at: number | null): Asked {
  const platform = usePlatform();
  const [asked, setAsked] = useState<Asked>({});
  const { extension } = row.agent;
  const said = at === null ? `${row.status} ${row.since} ${row.agent.reasons.map((one) => one.code).join()}` : "";

  useEffect(() => setAsked({}), [at]);
  useEffect(() => {
    let over = false;
    platform.explain(extension, at).then(
      (explained) => !over && setAsked({ explained }),
      (refusal: unknown) => !over && setAsked({ error: asError(refusal) }),
    );
    return () => {
      over = true;
    };
  }, [platform, extension, at, said]);
  return asked;
}

function Moment({ at, onChange }: { at: number | null; onChange: (at: number | null) => void }) {
  const now = useNow();
  return (
    <div className={css.moment}>
      <TextField
        label={words.at}
        type="datetime-local"
        value={fieldOfMoment(at ?? now)}
        onChange={(value) => {
          const chosen = new Date(value).getTime();
          if (!Number.isNaN(chosen)) onChange(Math.min(chosen, Date.now()));
        }}
      />
      <Button onPress={() => onChange(null)} isDisabled={at === null}>
        {words.now}
      </Button>
      <p className={css.showing} role="status">
        {at === null ? words.showingNow : words.showingPast(moment(at, now))}
      </p>
    </div>
  );
}

interface ExplainedProps {
  explained: Explanation;
  past: boolean;
  onShowThen: (at: number) => void;
}

function Explained({ explained, past, onShowThen }: ExplainedProps) {
  const { status, since, at, reasons, needed, terms, rule, intents, sources, history } = explained;
  return (
    <div className={css.explained}>
      <p className={css.state}>
        <StatusChip status={status} size="large" />
        <span className={css.soft}>
          {past ? words.since(duration(since, at)) : <Elapsed since={since} words={words.since} />}
        </span>
      </p>
      {reasons.length > 0 && (
        <Section title={words.why}>
          <ul className={css.list}>
            {reasons.map((reason) => (
              <li key={reason.code}>
                {reasonWords(reason).what} <span className={css.soft}>{words.since(duration(reason.since, at))}</span>
              </li>
            ))}
          </ul>
        </Section>
      )}
      <Section title={words.whyNot}>
        {status === "Available" ? <p>{words.nothingMissing}</p> : <Needed needed={needed} />}
      </Section>
      <Section title={words.terms} note={`${words.rule(rule)}: ${words.rules[rule] ?? ""}`}>
        <ul className={css.terms}>
          {terms.map((term) => (
            <TermLine key={term.name} term={term} />
          ))}
        </ul>
      </Section>
      <Section title={words.intents}>
        {intents.length === 0 && <p className={css.soft}>{words.noIntents}</p>}
        <ul className={css.list}>
          {intents.map((intent) => (
            <li key={intent.device}>
              {text.board.deviceId(intent.device.slice(0, 8))}: {words.wants[intent.wants] ?? intent.wants}{" "}
              <span className={css.soft}>{words.since(duration(intent.since, at))}</span>
            </li>
          ))}
        </ul>
      </Section>
      <SourcesSeen sources={sources} at={at} />
      <Section title={words.history}>
        <HistoryLines lines={history} now={at} onShowThen={onShowThen} />
      </Section>
    </div>
  );
}

function Section({ title, note, children }: { title: string; note?: string; children: ReactNode }) {
  return (
    <section className={css.section} aria-label={title}>
      <h3 className={css.heading}>{title}</h3>
      {note && <p className={css.soft}>{note}</p>}
      {children}
    </section>
  );
}

function Needed({ needed }: { needed: string[] }) {
  if (needed.length === 0) return <p className={css.soft}>{words.needed}</p>;
  return (
    <ul className={css.list}>
      {needed.map((sentence) => (
        <li key={sentence}>{sentence}</li>
      ))}
    </ul>
  );
}

const VERDICTS: Record<Verdict, LucideIcon> = { holds: CircleCheck, fails: CircleX, unknown: CircleQuestionMark };

function TermLine({ term }: { term: Term }) {
  const Icon = VERDICTS[term.verdict];
  return (
    <li className={css.term} data-verdict={term.verdict}>
      <Icon aria-hidden />
      <span>
        {words.termNames[term.name] ?? term.name}: {words.verdicts[term.verdict]}
      </span>
      <span className={css.soft}>{words.says(words.sourceNames[term.source] ?? term.source)}</span>
    </li>
  );
}

function SourcesSeen({ sources, at }: { sources: Explanation["sources"]; at: number }) {
  return (
    <Section title={words.sources}>
      <ul className={css.list}>
        {Object.entries(sources).map(([name, health]) => (
          <li key={name}>
            {text.board.sourceNames[name] ?? name}: {health?.ok ? text.board.sourceOk : text.contact.Unknown}{" "}
            {health?.asOf !== undefined && (
              <span className={css.soft}>{words.sourceSeen(duration(health.asOf, at))}</span>
            )}
          </li>
        ))}
      </ul>
    </Section>
  );
}

interface HistoryLinesProps {
  lines: LedgerLine[];
  now: number;
  onShowThen: (at: number) => void;
}

/** The ledger's lines; what was decided can be looked at as it was then. */
function HistoryLines({ lines, now, onShowThen }: HistoryLinesProps) {
  if (lines.length === 0) return <p className={css.soft}>{words.noHistory}</p>;
  return (
    <ol className={css.history}>
      {lines.map((line) => (
        <li key={line.seq} className={css.line}>
          <time className={css.time} dateTime={new Date(line.at).toISOString()}>
            {moment(line.at, now)}
          </time>
          <span>
            <b>{words.kinds[line.kind] ?? line.kind}</b> {line.what.replaceAll("_", " ")} {line.detail}{" "}
            <span className={css.soft}>
              {words.says(words.sourceNames[line.source] ?? line.source)}
              {line.rule && ` · ${words.rule(line.rule)}`}
            </span>
          </span>
          {line.kind === "decision" && (
            <IconButton
              label={words.showThen(moment(line.at, now))}
              icon={<History aria-hidden />}
              size="small"
              onPress={() => onShowThen(line.at)}
            />
          )}
        </li>
      ))}
    </ol>
  );
}
