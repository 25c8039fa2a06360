import { FlaskConical } from "lucide-react";

import { Button } from "../../design/Button";
import type { Demo } from "../../generated/Demo";
import type { DemoPerson } from "../../generated/DemoPerson";
import { text } from "../../text";
import css from "./LoginPage.module.css";

interface DemoCardProps {
  demo: Demo;
  onFillIn: (person: DemoPerson) => void;
  isDisabled: boolean;
}

/** How to sign in to the demo. Its passwords open nothing else, and are shown on purpose. */
export function DemoCard({ demo, onFillIn, isDisabled }: DemoCardProps) {
  return (
    <section className={css.demo} aria-label={text.login.demoTitle}>
      <div className={css.demoHint}>
        <FlaskConical aria-hidden />
        <p>{demo.hint}</p>
      </div>
      <ul>
        {demo.people.map((person) => (
          <li key={person.username} className={css.person}>
            <p className={css.personWords}>
              <span className={css.personLabel}>{person.label}</span>{" "}
              <span className={css.personSecret}>
                {person.username} / {person.password}
              </span>
            </p>
            <Button
              size="small"
              aria-label={text.login.fillIn(person.label)}
              isDisabled={isDisabled}
              onPress={() => onFillIn(person)}
            >
              {text.login.fillInShort}
            </Button>
          </li>
        ))}
      </ul>
    </section>
  );
}
