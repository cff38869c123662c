// The transcript of a live call as a value, changed by its events. Pure.
// A final settles its segment: a later partial of the same or an earlier segment is stale and ignored.

import type { Role } from "../page/api_types";
import { count, duration } from "../page/format";

export interface LiveTurn {
  readonly key: string;
  readonly role: Role;
  readonly start_ms: number;
  readonly end_ms: number;
  readonly text: string;
}

export interface Levels {
  readonly agent_dbfs: number;
  readonly technician_dbfs: number;
  /** What each party has said so far, and the current silence of both; absent where no speech is detected. */
  readonly agent_talk_ms?: number;
  readonly technician_talk_ms?: number;
  readonly silence_ms?: number;
  readonly position_ms: number;
  readonly lag_ms: number;
  readonly partials_shed: number;
  readonly finals_waiting: number;
  /** How many of the waiting finals are spilled to disk. */
  readonly finals_spilled?: number;
  /** Overload level, 0 to 4: partials and accuracy are reduced before any speech is lost. */
  readonly overload?: number;
}

/** Interim text of an open segment: `stable` words stay, `tentative` ones may still change. */
export interface Partial {
  readonly stable: string;
  readonly tentative: string;
}

export interface LiveState {
  /** In the order in which they were spoken. */
  readonly turns: readonly LiveTurn[];
  readonly partials: Readonly<Record<Role, Partial>>;
  readonly settled: Readonly<Record<Role, number>>;
  readonly levels: Levels | null;
}

export interface Segment {
  role: Role;
  number: number;
  start_ms: number;
  end_ms: number;
  text: string;
  stable?: string;
  tentative?: string;
}

export type LiveEvent = { kind: "partial"; data: Segment } | { kind: "final"; data: Segment } | { kind: "level"; data: Levels };

const EMPTY: Partial = { stable: "", tentative: "" };

export const INITIAL: LiveState = {
  turns: [],
  partials: { agent: EMPTY, technician: EMPTY },
  settled: { agent: -1, technician: -1 },
  levels: null,
};

export function reduce(state: LiveState, event: LiveEvent): LiveState {
  switch (event.kind) {
    case "partial":
      return partial(state, event.data);
    case "final":
      return final(state, event.data);
    case "level":
      return { ...state, levels: event.data };
  }
}

function partial(state: LiveState, { role, number, text, stable = "", tentative = text }: Segment): LiveState {
  if (number <= state.settled[role]) return state;
  return { ...state, partials: { ...state.partials, [role]: { stable, tentative } } };
}

function final(state: LiveState, segment: Segment): LiveState {
  const { role, number, start_ms, end_ms, text } = segment;
  const settled = { ...state.settled, [role]: Math.max(state.settled[role], number) };
  const partials = number >= state.settled[role] ? { ...state.partials, [role]: EMPTY } : state.partials;
  const key = `${role}-${number}`;
  if (!text || state.turns.some((turn) => turn.key === key)) return { ...state, settled, partials };
  const at = state.turns.findIndex((turn) => turn.start_ms > start_ms);
  const turn = { key, role, start_ms, end_ms, text };
  const turns = at < 0 ? [...state.turns, turn] : [...state.turns.slice(0, at), turn, ...state.turns.slice(at)];
  return { ...state, turns, partials, settled };
}

const QUIETEST_DBFS = -60;

/** A level as a share of the meter, 0..1. */
export function meterShare(dbfs: number): number {
  return Number.isFinite(dbfs) ? Math.min(1, Math.max(0, 1 - dbfs / QUIETEST_DBFS)) : 0;
}

/** A silence that is shown while it lasts. */
const SHOWN_SILENCE_MS = 3000;

/** How the call goes: each party's share of the talk time, and the current silence. */
export function talkText({ agent_talk_ms, technician_talk_ms, silence_ms = 0 }: Levels, names: Record<Role, string>): string {
  if (agent_talk_ms === undefined || technician_talk_ms === undefined) return "";
  const talk_ms = agent_talk_ms + technician_talk_ms;
  if (!talk_ms) return "";
  const share = Math.round((100 * agent_talk_ms) / talk_ms);
  const silence = silence_ms >= SHOWN_SILENCE_MS ? ` · Silence ${duration(silence_ms)}` : "";
  return `Talk ratio: ${names.agent} ${share}%, ${names.technician} ${100 - share}%${silence}`;
}

/** The status line below the transcript. */
export function statusText({ lag_ms, finals_waiting, partials_shed, finals_spilled = 0, overload = 0 }: Levels): string {
  const parts = [`Transcript delay ${(lag_ms / 1000).toFixed(1)} s`];
  const onDisk = finals_spilled ? `, ${finals_spilled} on disk` : "";
  if (finals_waiting) parts.push(`${count(finals_waiting, "segment")} waiting${onDisk}`);
  if (overload >= 3) parts.push("overloaded: no live preview, lower accuracy");
  else if (overload >= 2) parts.push("overloaded: no live preview");
  else if (partials_shed) parts.push(`${count(partials_shed, "preview")} skipped`);
  return parts.join(" · ");
}
