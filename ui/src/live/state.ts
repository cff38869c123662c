// What is known of a running call, as a value changed by its events. Pure: no page, no clock.
// A final settles its segment: a partial of the same or an earlier segment that comes later is stale and left out.

import type { Role } from "../page/scheme";

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
  readonly position_ms: number;
  readonly lag_ms: number;
  readonly partials_shed: number;
  readonly finals_waiting: number;
  /** Of those that wait, how many do so on disk. */
  readonly finals_spilled?: number;
  /** 0 to 4: what is given up so that nothing gets lost. */
  readonly overload?: number;
}

/** What is heard of an open segment: `stable` words stay, `tentative` ones may change with the next. */
export interface Partial {
  readonly stable: string;
  readonly tentative: string;
}

export interface LiveState {
  /** In the order in which they were said. */
  readonly turns: readonly LiveTurn[];
  readonly partials: Readonly<Record<Role, Partial>>;
  readonly settled: Readonly<Record<Role, number>>;
  readonly levels: Levels | null;
}

export interface Spoken {
  role: Role;
  number: number;
  start_ms: number;
  end_ms: number;
  text: string;
  stable?: string;
  tentative?: string;
}

export type LiveEvent = { kind: "partial"; data: Spoken } | { kind: "final"; data: Spoken } | { kind: "level"; data: Levels };

const QUIET: Partial = { stable: "", tentative: "" };

export const NOTHING: LiveState = {
  turns: [],
  partials: { agent: QUIET, technician: QUIET },
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

function partial(state: LiveState, { role, number, text, stable = "", tentative = text }: Spoken): LiveState {
  if (number <= state.settled[role]) return state;
  return { ...state, partials: { ...state.partials, [role]: { stable, tentative } } };
}

function final(state: LiveState, said: Spoken): LiveState {
  const { role, number, start_ms, end_ms, text } = said;
  const settled = { ...state.settled, [role]: Math.max(state.settled[role], number) };
  const partials = number >= state.settled[role] ? { ...state.partials, [role]: QUIET } : state.partials;
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

/** What the line below the words says. */
export function lagText({ lag_ms, finals_waiting, partials_shed, finals_spilled = 0, overload = 0 }: Levels): string {
  const said = [`Words are ${(lag_ms / 1000).toFixed(1)} s behind`];
  const onDisk = finals_spilled ? `, ${finals_spilled} on disk` : "";
  if (finals_waiting) said.push(`${finals_waiting} ${finals_waiting === 1 ? "segment waits" : "segments wait"}${onDisk}`);
  if (overload >= 2) said.push(overload >= 3 ? "no previews and rougher words until it catches up" : "no previews until it catches up");
  else if (partials_shed) said.push(`${partials_shed} ${partials_shed === 1 ? "preview" : "previews"} left out`);
  return said.join(" · ");
}
