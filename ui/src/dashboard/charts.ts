// Stacked bar charts: the geometry of the bars and of the scale. Pure.

export interface Day {
  date: string;
  calls: number;
  minutes: number;
  speech_ms: { agent: number; technician: number };
  silence_ms: number;
  interruptions: number;
  verdicts: Record<string, number>;
  storage_bytes: number;
  carrier_minutes: number;
  cost: number | null;
}

/** The JSON in the page, as far as the charts use it. */
export interface DashboardData {
  zone: string;
  days: Day[];
}

export interface Series {
  /** Also the CSS class of its bars. */
  readonly key: string;
  readonly name: string;
  readonly value: (day: Day) => number;
  /** The values are counts: no fractions on the scale. */
  readonly whole?: boolean;
}

export interface Bar {
  readonly key: string;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** The end of a scale for values up to `most`: 1, 2 or 5 times a power of ten. */
export function scaleEnd(most: number): number {
  if (most <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  return ([1, 2, 5, 10].find((step) => step * power >= most * 0.999999) ?? 10) * power;
}

/** The text of a value at the axis, without a needless decimal place: `100 MB`. */
export function axisText(text: string): string {
  return text.replace(/\.0(?= )/, "");
}

/** The grid lines of a scale from 0 to `top`: its ends and its middle, without fractions if `whole`. */
export function ticks(top: number, whole: boolean): number[] {
  return [0, top / 2, top].filter((value) => !whole || Number.isInteger(value));
}

/** One stack of bars per day, from the bottom; `wide` and `high` in units of the drawing. */
export function stacks(days: readonly Day[], series: readonly Series[], wide: number, high: number): { bars: Bar[]; top: number } {
  const sums = days.map((day) => series.reduce((sum, one) => sum + one.value(day), 0));
  const top = scaleEnd(Math.max(0, ...sums));
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
