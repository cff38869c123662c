import { expect, test } from "vitest";
import { progressText } from "../src/insight/progress";
import { events } from "../src/page/http";
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

test("events of a POST are read from pieces of any size", async () => {
  const text = 'event: progress\ndata: {"n":1}\n\n: still here\n\nevent: answer\ndata: "two\\n\\nlines"\n\nevent: cut';
  const pieces = text.match(/[^]{1,7}/g)!;
  const stream = new ReadableStream<string>({ pull: (to) => (pieces.length ? to.enqueue(pieces.shift()!) : to.close()) });
  const read: { kind: string; data: string }[] = [];
  for await (const event of events(stream.getReader())) read.push(event);
  expect(read).toEqual([{ kind: "progress", data: '{"n":1}' }, { kind: "answer", data: '"two\\n\\nlines"' }]);
});

test("the progress of a question names its parts, the last of which merges", () => {
  const of = (answered: number, requests: number, calls_read: number) => progressText({ answered, requests, calls_read, calls: 31 });
  expect(of(0, 1, 0)).toBe("Asking about part 1 of 1. 0 of 31 calls read.");
  expect(of(1, 3, 12)).toBe("Asking about part 2 of 2. 12 of 31 calls read.");
  expect(of(2, 3, 31)).toBe("Merging the answers about 2 parts. 31 of 31 calls read.");
});
