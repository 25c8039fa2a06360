/** Runs a command; a refusal is shown at the top of the phone. */
export type Run = (command: Promise<void>) => Promise<boolean>;
