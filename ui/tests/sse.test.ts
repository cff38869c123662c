import { expect, test } from "vitest";
import { afterSeen, waitMs } from "../src/page/sse";

test("a stream goes on behind the last event that came", () => {
  expect(afterSeen("/calls/x/events?after=3", "")).toBe("/calls/x/events?after=3");
  expect(afterSeen("/calls/x/events?after=3", "17")).toBe("/calls/x/events?after=17");
  expect(afterSeen("/events?kinds=call,verdict&after=3", "17")).toBe("/events?kinds=call%2Cverdict&after=17");
  expect(afterSeen("/events", "17")).toBe("/events?after=17");
});

test("tries in a row come at growing distances, and never stop", () => {
  expect([0, 1, 2, 3, 4, 50].map(waitMs)).toEqual([1000, 2000, 4000, 8000, 15000, 15000]);
});
