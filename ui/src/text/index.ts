// Which language the interface speaks. English is the only one so far.
import { english, type Text } from "./english";

export type { Text };

export const text: Text = english;
