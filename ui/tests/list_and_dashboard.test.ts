import { expect, test } from "vitest";
import { axisText, scaleEnd, stacks, ticks, type Day } from "../src/dashboard/charts";
import { summary, undoing } from "../src/list/bulk";
import { filtersOf, isFiltered, minutesOf, queryOf, secondsOf, toggled } from "../src/list/filters";
import { apiError } from "../src/page/http";

test("filters survive the URL, in a fixed order", () => {
  const filters = { verdict: "suspect", q: 'left "gauge" & co', from: "2026-11-01", min_s: "90", notes: "1" };
  expect(filtersOf(queryOf(filters))).toEqual(filters);
  expect(queryOf({ to: "b", q: "a" })).toBe(queryOf({ q: "a", to: "b" }));
});

test("unknown parameters are ignored", () => {
  expect(filtersOf("?before=2026&q=%20&evil=1")).toEqual({});
  expect(queryOf({})).toBe("");
  expect(isFiltered({})).toBe(false);
  expect(isFiltered({ notes: "1" })).toBe(true);
});

test("a facet replaces or removes its filter, also one typed into the search", () => {
  expect(toggled({ verdict: "suspect", q: "gauge" }, "verdict", "verified")).toEqual({ verdict: "verified", q: "gauge" });
  expect(toggled({ verdict: "suspect" }, "verdict", "")).toEqual({});
  const q = 'left label:"data \\" request" "a label:b c" ratio:two Label:x';
  expect(toggled({ q, label: "3" }, "label", "4")).toEqual({ q: 'left "a label:b c" ratio:two', label: "4" });
  expect(toggled({ q }, "agent", "")).toEqual({ q });
});

test("minutes convert to seconds and back", () => {
  expect([secondsOf("1.5"), secondsOf("2,5"), secondsOf(""), secondsOf("x"), secondsOf("-1")]).toEqual(["90", "150", "", "", ""]);
  expect([minutesOf("90"), minutesOf(undefined), minutesOf("x")]).toEqual(["1.5", "", ""]);
});

test.each([
  [0, 1],
  [1, 1],
  [3, 5],
  [7, 10],
  [10, 10],
  [11, 20],
  [0.3, 0.5],
])("a scale for %s ends at %s", (most, top) => expect(scaleEnd(most)).toBeCloseTo(top));

test("stacked bars do not overlap and stay within the drawing", () => {
  const day = (agent: number, technician: number) => ({ speech_ms: { agent, technician } }) as Day;
  const series = (["agent", "technician"] as const).map((key) => ({ key, name: key, value: (one: Day) => one.speech_ms[key] }));
  const { bars, top } = stacks([day(2, 6), day(0, 0), day(4, 0)], series, 300, 100);
  expect(top).toBe(10);
  expect(bars).toHaveLength(3);
  expect(bars[1]!.y + bars[1]!.height).toBeCloseTo(bars[0]!.y);
  for (const bar of bars) {
    expect(bar.y).toBeGreaterThanOrEqual(0);
    expect(bar.x + bar.width).toBeLessThanOrEqual(300);
  }
});

test("API errors keep their message, other responses get a general one", () => {
  expect(apiError(409, '{"error": {"code": "conflict", "message": "Someone was first."}}')).toMatchObject({ status: 409, code: "conflict", message: "Someone was first." });
  expect(apiError(502, "<html>").message).toBe("The server responded with error 502.");
  expect(apiError(401, "").message).toContain("signed out");
});

test("a scale of counts has no fractions", () => {
  expect(ticks(5, true)).toEqual([0, 5]);
  expect(ticks(10, true)).toEqual([0, 5, 10]);
  expect(ticks(5, false)).toEqual([0, 2.5, 5]);
});

test("a change of many calls is undone by its inverse, an assignment to each earlier person", () => {
  const done = [{ call_id: "a", assigned_before: null }, { call_id: "b", assigned_before: "sam" }, { call_id: "c", assigned_before: null }];
  expect(undoing({ change: "label", label_id: 3 }, done)).toEqual([[{ change: "unlabel", label_id: 3 }, ["a", "b", "c"]]]);
  expect(undoing({ change: "hold", reason: "case 17" }, done)[0]![0]).toEqual({ change: "release", reason: "placed by mistake, undone at once" });
  expect(undoing({ change: "assign", person: "ada" }, done)).toEqual([
    [{ change: "assign", person: null }, ["a", "c"]],
    [{ change: "assign", person: "sam" }, ["b"]],
  ]);
});

test("the outcome of a change of many calls has numbers and the first reason", () => {
  expect(summary({ changed: [{ call_id: "a", assigned_before: null }], unchanged: [], refused: {} })).toBe("1 call changed");
  expect(summary({ changed: [], unchanged: ["b"], refused: { c: "The call is held already.", d: "No." } })).toBe("0 calls changed, 1 as before, 2 refused: The call is held already.");
});

test("an axis has no needless decimal places, for which it has no room", () => {
  expect(["100.0 MB", "2.5 GB", "0 B", "$1.00", "50"].map(axisText)).toEqual(["100 MB", "2.5 GB", "0 B", "$1.00", "50"]);
});
