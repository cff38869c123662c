import { expect, test } from "vitest";
import { resumeAddress, backoffMs } from "../src/page/events";

test("a stream resumes after the last received event", () => {
  expect(resumeAddress("/calls/x/events?after=3", "")).toBe("/calls/x/events?after=3");
  expect(resumeAddress("/calls/x/events?after=3", "17")).toBe("/calls/x/events?after=17");
  expect(resumeAddress("/events?kinds=call,verdict&after=3", "17")).toBe("/events?kinds=call%2Cverdict&after=17");
  expect(resumeAddress("/events", "17")).toBe("/events?after=17");
});

test("reconnection attempts back off and never stop", () => {
  expect([0, 1, 2, 3, 4, 50].map(backoffMs)).toEqual([1000, 2000, 4000, 8000, 15000, 15000]);
});
