// The difference between the live and the final transcript, as rows of two columns. Pure.

import type { Role } from "../page/api_types";

export interface TimedWord {
  text: string;
  start_ms: number;
  end_ms: number;
}

export interface Difference {
  op: "equal" | "replace" | "insert" | "delete";
  role: Role;
  live: TimedWord[];
  final: TimedWord[];
}

export interface Piece {
  readonly words: readonly TimedWord[];
  readonly same: boolean;
}

export interface Row {
  readonly role: Role;
  readonly start_ms: number;
  readonly live: readonly Piece[];
  readonly final: readonly Piece[];
}

const PAUSE_MS = 2500;

/** A row for each stretch in which one party speaks; a long pause starts a new row. */
export function rowsOf(difference: readonly Difference[]): Row[] {
  const rows: { role: Role; start_ms: number; end_ms: number; live: Piece[]; final: Piece[] }[] = [];
  for (const one of difference) {
    for (const part of splitAtPauses(one)) {
      const all = [...part.live, ...part.final];
      if (!all.length) continue;
      const start_ms = Math.min(...all.map((word) => word.start_ms));
      const end_ms = Math.max(...all.map((word) => word.end_ms));
      let row = rows.at(-1);
      if (!row || row.role !== one.role || start_ms - row.end_ms > PAUSE_MS) rows.push((row = { role: one.role, start_ms, end_ms, live: [], final: [] }));
      row.end_ms = Math.max(row.end_ms, end_ms);
      const same = one.op === "equal";
      if (part.live.length) row.live.push({ words: part.live, same });
      if (part.final.length) row.final.push({ words: part.final, same });
    }
  }
  return rows;
}

// Splits equal words where the speaker paused, so that a row is no longer than a turn.
function splitAtPauses({ op, live, final }: Difference): { live: TimedWord[]; final: TimedWord[] }[] {
  if (op !== "equal" || live.length !== final.length) return [{ live, final }];
  const parts: { live: TimedWord[]; final: TimedWord[] }[] = [];
  final.forEach((word, at) => {
    const before = final[at - 1];
    if (!before || word.start_ms - before.end_ms > PAUSE_MS) parts.push({ live: [], final: [] });
    parts.at(-1)!.live.push(live[at]!);
    parts.at(-1)!.final.push(word);
  });
  return parts;
}

/** The share of words on which both transcripts agree, 0..1; null without words. */
export function agreement(difference: readonly Difference[]): number | null {
  const same = difference.filter((one) => one.op === "equal").reduce((n, one) => n + one.final.length, 0);
  const all = difference.reduce((n, one) => n + Math.max(one.live.length, one.final.length), 0);
  return all ? same / all : null;
}
