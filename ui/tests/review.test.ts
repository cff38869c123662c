import { expect, test } from "vitest";
import type { Layer, Turn } from "../src/page/api_types";
import { playableLayers, filesFor } from "../src/review/player";
import { agreement, rowsOf, type Difference, type TimedWord } from "../src/review/difference";
import { columns, endOfSilence, lastIndexAt, peaksPerSecond, silences } from "../src/review/peaks";
import { describeChange, changeOf } from "../src/review/turns";

const layer = (kind: Layer["layer"], role: Layer["role"]): Layer => ({ layer: kind, role, url: `${kind}-${role ?? "both"}`, duration_ms: 1, state: "closed" });
const ALL = [layer("live_8k", "agent"), layer("live_8k", "technician"), layer("cloud", null), layer("cloud_channel", "agent"), layer("cloud_channel", "technician")];

test("each choice of layer and party has its files", () => {
  expect(filesFor(ALL, "cloud", "both")).toEqual(["cloud-both"]);
  expect(filesFor(ALL, "cloud", "technician")).toEqual(["cloud_channel-technician"]);
  expect(filesFor(ALL, "live_8k", "both")).toEqual(["live_8k-agent", "live_8k-technician"]);
  expect(filesFor(ALL, "live_8k", "agent")).toEqual(["live_8k-agent"]);
  expect(filesFor(ALL, "live_16k", "both")).toEqual([]);
  expect(playableLayers(ALL)).toEqual(["cloud", "live_8k"]);
  expect(playableLayers([])).toEqual([]);
});

test("each column has the largest peak of its stretch", () => {
  expect(columns([0.1, 0.9, 0.2, 0.3], 10, 0, 400, 2)).toEqual([0.9, 0.3]);
  expect(columns([0.5], 10, 0, 400, 4)).toEqual([0.5, 0, 0, 0]);
  expect(columns([0.1, 0.7], 10, 0, 200, 4)).toEqual([0.1, 0.1, 0.7, 0.7]);
});

test("a long call requests fewer peaks per second", () => {
  expect(peaksPerSecond(60_000)).toBe(50);
  expect(peaksPerSecond(7_200_000) * 7200 * 2).toBeLessThan(200_000);
});

test("silence is where all channels are quiet, less a margin", () => {
  const quiet = (n: number) => new Array<number>(n).fill(0.001);
  const peaks = { per_second: 10, duration_ms: 6000, channels: [
    { role: "agent" as const, peaks: [0.5, ...quiet(59)] },
    { role: "technician" as const, peaks: [...quiet(40), 0.5, ...quiet(19)] },
  ] };
  expect(silences(peaks)).toEqual([{ start_ms: 400, end_ms: 3700 }, { start_ms: 4400, end_ms: 5700 }]);
  expect(endOfSilence(silences(peaks), 1000)).toBe(3700);
  expect(endOfSilence(silences(peaks), 3700)).toBeNull();
  expect(silences({ per_second: 10, duration_ms: 0, channels: [] })).toEqual([]);
});

test("the last start at or before a position is found", () => {
  const starts = [0, 100, 100, 300];
  expect([-1, 0, 99, 100, 299, 300, 9999].map((at) => lastIndexAt(starts, at))).toEqual([-1, 0, 0, 2, 2, 3, 3]);
  expect(lastIndexAt([], 5)).toBe(-1);
});

const words = (text: string, at: number): TimedWord[] => text.split(" ").map((one, n) => ({ text: one, start_ms: at + n * 300, end_ms: at + n * 300 + 280 }));
const DIFFERENCE: Difference[] = [
  { op: "equal", role: "agent", live: words("the left", 0), final: words("the left", 10) },
  { op: "replace", role: "agent", live: words("gorge", 600), final: words("gauge", 610) },
  { op: "insert", role: "technician", live: [], final: words("yes", 1500) },
  { op: "equal", role: "technician", live: words("it falls", 9000), final: words("it falls", 9000) },
  { op: "delete", role: "technician", live: words("um", 9700), final: [] },
];

test("each stretch of one party is a row", () => {
  const rows = rowsOf(DIFFERENCE);
  expect(rows.map((row) => [row.role, row.start_ms])).toEqual([["agent", 0], ["technician", 1500], ["technician", 9000]]);
  expect(rows[0]!.live.map((piece) => piece.same)).toEqual([true, false]);
  expect(rows[1]!.live).toEqual([]);
  expect(rows[2]!.final).toHaveLength(1);
});

test("rows contain all words of the difference", () => {
  const said = (side: "live" | "final") => rowsOf(DIFFERENCE).flatMap((row) => row[side].flatMap((piece) => piece.words)).map((word) => word.text);
  expect(said("live")).toEqual(DIFFERENCE.flatMap((one) => one.live).map((word) => word.text));
  expect(said("final")).toEqual(DIFFERENCE.flatMap((one) => one.final).map((word) => word.text));
});

test("equal words of two turns become two rows", () => {
  const both = [...words("good morning", 0), ...words("hello again", 8000)];
  expect(rowsOf([{ op: "equal", role: "agent", live: both, final: both }]).map((row) => row.start_ms)).toEqual([0, 8000]);
});

test("agreement is a share of words", () => {
  expect(agreement(DIFFERENCE)).toBeCloseTo(4 / 7);
  expect(agreement([])).toBeNull();
});

test("a correction contains only what changed", () => {
  const turn: Turn = { role: "agent", start_ms: 0, end_ms: 1, text: "good morning", confidence: null, fallback_engine: "" };
  expect(changeOf(turn, 3, "good  morning ", "agent")).toBeNull();
  expect(changeOf(turn, 3, "good evening", "agent")).toEqual({ turn: 3, text: "good evening" });
  expect(changeOf(turn, 3, "good morning", "technician")).toEqual({ turn: 3, role: "technician" });
  expect(changeOf(turn, 3, " ", "agent")).toEqual({ turn: 3, text: "" });
});

test("a saved correction is described", () => {
  const names = { agent: "Agent", technician: "Technician" };
  expect(describeChange({ turn: 0, text: "good morning" }, names)).toBe("Turn 1: changed to “good morning”");
  expect(describeChange({ turn: 4, word: 2, text: "", role: null }, names)).toBe("Turn 5, word 3: deleted");
  expect(describeChange({ turn: 1, word: null, text: null, role: "agent" }, names)).toBe("Turn 2: speaker changed to agent");
});
