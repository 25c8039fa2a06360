import { FlaskConical } from "lucide-react";

import { Button } from "../../design/Button";
import type { Demo } from "../../generated/Demo";
import type { DemoPerson } from "../../generated/DemoPerson";
import { text } from "../../text";
import css from "./LoginPage.module.css";

/** How to sign in to the demo. Its passwords open nothing else, and are shown on purpose. */
export function DemoCard({ demo, onFillIn }: { demo: Demo; onFillIn: (person: DemoPerson) => void }) {
  return (
    <section className={css.demo} aria-label={text.login.demoTitle}>
      <h2 className={css.demoTitle}>
        <FlaskConical aria-hidden />
        {text.login.demoTitle}
      </h2>
      <p className={css.demoHint}>{demo.hint}</p>
      <ul>
        {demo.people.map((person) => (
          <li key={person.username} className={css.person}>
            <div className={css.personWords}>
              <p className={css.personLabel}>{person.label}</p>
              <p className={css.personSecret}>
                {person.username} / {person.password}
              </p>
            </div>
            <Button size="small" aria-label={text.login.fillIn(person.label)} onPress={() => onFillIn(person)}>
              {text.login.fillInShort}
            </Button>
          </li>
        ))}
      </ul>
    </section>
  );
}
