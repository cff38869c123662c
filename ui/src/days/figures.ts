// The figures of days as bars: where each lies in a drawing. Pure.

export interface Day {
  date: string;
  calls: number;
  minutes: number;
  speech_ms: { agent: number; technician: number };
  verdicts: Record<string, number>;
  storage_bytes: number;
  carrier_minutes: number;
  cost: number | null;
}

/** What stands in the page, as far as the charts use it. */
export interface Days {
  zone: string;
  days: Day[];
}

export interface Series {
  /** Also the class of its bars. */
  readonly key: string;
  readonly name: string;
  readonly value: (day: Day) => number;
  /** Its values are counts: no half ones on the scale. */
  readonly whole?: boolean;
}

export interface Bar {
  readonly key: string;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** A round number at or above `most`, for the top of a scale: 1, 2 or 5 times a power of ten. */
export function roundTop(most: number): number {
  if (most <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  return ([1, 2, 5, 10].find((step) => step * power >= most * 0.999999) ?? 10) * power;
}

/** Where a scale from 0 to `top` has lines: at its ends and its middle, but not at half a call. */
export function ticks(top: number, whole: boolean): number[] {
  return [0, top / 2, top].filter((value) => !whole || Number.isInteger(value));
}

/** Stacked bars, a stack for each day, from the bottom; `wide` and `high` in the drawing's units. */
export function stacks(days: readonly Day[], series: readonly Series[], wide: number, high: number): { bars: Bar[]; top: number } {
  const sums = days.map((day) => series.reduce((sum, one) => sum + one.value(day), 0));
  const top = roundTop(Math.max(0, ...sums));
  const step = wide / Math.max(1, days.length);
  const width = Math.max(1, step * 0.72);
  const bars: Bar[] = [];
  days.forEach((day, at) => {
    let below = 0;
    for (const one of series) {
      const value = one.value(day);
      if (value <= 0) continue;
      const height = (value / top) * high;
      bars.push({ key: one.key, x: at * step + (step - width) / 2, y: high - below - height, width, height });
      below += height;
    }
  });
  return { bars, top };
}
