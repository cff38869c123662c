// Responses of the API, as far as the pages use them.

import type { Consent } from "../consent/mark";

export type Role = "agent" | "technician";
export const ROLES: readonly Role[] = ["agent", "technician"];

export interface Word {
  text: string;
  start_ms: number;
  end_ms: number;
  confidence: number | null;
  /** What a mask hides; absent for a word that was said. */
  entity?: string;
}

export interface Turn {
  role: Role;
  start_ms: number;
  end_ms: number;
  text: string;
  confidence: number | null;
  /** The fallback engine, or empty if the configured engine transcribed the turn. */
  fallback_engine: string;
  words?: Word[];
}

export interface Layer {
  layer: "live_8k" | "live_16k" | "cloud" | "cloud_channel";
  role: Role | null;
  url: string;
  duration_ms: number;
  state: string;
}

export interface Reason {
  code: string;
  role: Role | null;
  detail: string;
}

export interface CallHead {
  call_id: string;
  call_sid: string;
  state: "live" | "ended" | "closed";
  direction: "incoming" | "outgoing";
  agent: string;
  number: string;
  /** The name of the number in the phone book. */
  number_name: string | null;
  created_at: string;
  answered_at: string | null;
  ended_at: string | null;
  duration_ms: number | null;
  verdict: "verified" | "explained" | "suspect" | "imported" | null;
  reasons: Reason[];
}

export interface Hit {
  role: Role;
  start_ms: number;
  parts: { text: string; hit: boolean }[];
}

/** One of the team's labels. */
export interface Label {
  id: number;
  name: string;
  color: string;
}

/** How a call went, as far as the list shows it. */
export interface Measures {
  agent_ratio: number | null;
  silence_ms: number;
  interruptions: number;
}

export interface ListedCall extends CallHead {
  /** Null until the call is measured. */
  measures?: Measures | null;
  /** Key phrases of the call; null where nothing stands out. */
  topic?: string | null;
  /** How the call begins, if it has no topic. */
  first_words?: string | null;
  notes?: number;
  held?: boolean;
  /** An erasure was requested and is not complete. */
  erasing?: boolean;
  labels?: Label[];
  reviewed?: { by: string; at: string } | null;
  assigned_to?: string | null;
  hits?: Hit[];
  hits_total?: number;
}

export interface Note {
  id: number;
  kind: "mark" | "note";
  at_ms: number;
  text: string;
  by: string;
  at: string;
}

/** A pause of all recordings of a call. Positions are null until the recorder confirms them. */
export interface Pause {
  id: number;
  paused: boolean;
  silent: boolean;
  start_ms: number | null;
  end_ms: number | null;
  cause: "person" | "field" | "phrase";
  by: string;
  ended_by: "person" | "field" | "limit" | "call" | null;
  carrier: "pending" | "paused" | "away" | "refused" | "none";
  carrier_resumed: boolean;
  /** What people must know of it, as a sentence. */
  warning: string | null;
}

/** A stretch that is masked in text and silenced in audio. */
export interface Redaction {
  id: number;
  role: Role;
  entity: string;
  start_ms: number;
  end_ms: number;
  removed_at: string | null;
}

/** One correction: of a word, a turn's text or its speaker. Indexes count from 0, in the corrected revision. */
export interface Change {
  turn: number;
  word?: number | null;
  text?: string | null;
  role?: Role | null;
}

export interface Revision {
  number: number;
  by: string;
  at: string;
  changes: Change[];
}

export interface Call extends CallHead {
  layers: Layer[];
  transcript: { engine: string; model: string; revision: number; created_at: string } | null;
  revision?: { number: number; by: string; at: string } | null;
  turns: Turn[];
  machine_turns?: Turn[];
  live_turns: Turn[];
  live_offset_ms: number;
  pauses: Pause[];
  consent: Consent | null;
  redaction: { redactions: Redaction[] };
  notes?: Note[];
}
