// Waveform peaks from the server, so that the browser never decodes a whole file. Pure.

import type { Role } from "../page/api_types";

export interface Peaks {
  per_second: number;
  duration_ms: number;
  channels: { role: Role | null; peaks: number[] }[];
}

export interface Stretch {
  readonly start_ms: number;
  readonly end_ms: number;
}

/** The largest peak in each of `count` equal columns between two positions of a channel. */
export function columns(peaks: readonly number[], perSecond: number, fromMs: number, toMs: number, count: number): number[] {
  const perMs = perSecond / 1000;
  return Array.from({ length: count }, (_, at) => {
    const first = Math.floor((fromMs + ((toMs - fromMs) * at) / count) * perMs);
    const last = Math.max(first + 1, Math.ceil((fromMs + ((toMs - fromMs) * (at + 1)) / count) * perMs));
    let most = 0;
    for (let n = Math.max(0, first); n < Math.min(last, peaks.length); n++) most = Math.max(most, peaks[n]!);
    return most;
  });
}

/** Peaks per second to request: enough for a wide screen, at most a megabyte for a very long call. */
export function peaksPerSecond(durationMs: number): number {
  if (durationMs <= 10 * 60_000) return 50;
  return durationMs <= 60 * 60_000 ? 20 : 10;
}

export interface SilenceRule {
  readonly below: number;
  readonly atLeastMs: number;
  readonly marginMs: number;
}

export const SILENCE: SilenceRule = { below: 0.02, atLeastMs: 1500, marginMs: 300 };

/** Stretches in which all channels are silent, less a margin around speech. */
export function silences({ channels, per_second, duration_ms }: Peaks, rule: SilenceRule = SILENCE): Stretch[] {
  const most = Math.max(0, ...channels.map((channel) => channel.peaks.length));
  const found: Stretch[] = [];
  let since: number | null = 0;
  for (let n = 0; n <= most; n++) {
    const quiet = n < most && channels.every((channel) => (channel.peaks[n] ?? 0) < rule.below);
    if (quiet) since ??= n;
    else if (since !== null) {
      const start_ms = Math.round((since * 1000) / per_second);
      const end_ms = Math.min(duration_ms, Math.round((n * 1000) / per_second));
      if (end_ms - start_ms >= rule.atLeastMs) found.push({ start_ms: start_ms + rule.marginMs, end_ms: end_ms - rule.marginMs });
      since = null;
    }
  }
  return found;
}

/** The end of the silence at `atMs`, or null if it is not in one. */
export function endOfSilence(found: readonly Stretch[], atMs: number): number | null {
  const stretch = found.find((one) => one.start_ms <= atMs && atMs < one.end_ms);
  return stretch ? stretch.end_ms : null;
}

/** The index of the last of the sorted `starts` at or before `at`; -1 before the first. */
export function lastIndexAt(starts: readonly number[], at: number): number {
  let [low, high] = [0, starts.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (starts[middle]! <= at) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
