// The progress of a language model's answer that a person waits for.

import { count } from "../page/format";

export interface Progress {
  answered: number;
  requests: number;
  calls_read: number;
  calls: number;
}

/** `Asking about part 2 of 3.` The last of several requests merges the answers to the others. */
export function partText({ answered, requests }: Progress): string {
  const parts = requests > 1 ? requests - 1 : 1;
  return answered < parts ? `Asking about part ${answered + 1} of ${parts}.` : `Merging the answers about ${parts} parts.`;
}

/** The same with `12 of 31 calls read.` */
export function progressText(progress: Progress): string {
  return `${partText(progress)} ${progress.calls_read} of ${count(progress.calls, "call")} read.`;
}
