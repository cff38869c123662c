import { expect, test } from "vitest";
import { statusText, talkText, meterShare, INITIAL, reduce, type LiveEvent, type Segment } from "../src/live/state";

const segment = (number: number, text: string, start_ms = number * 1000, role: Segment["role"] = "agent"): Segment => ({ role, number, start_ms, end_ms: start_ms + 900, text });
const partial = (data: Segment): LiveEvent => ({ kind: "partial", data });
const final = (data: Segment): LiveEvent => ({ kind: "final", data });
const after = (...events: LiveEvent[]) => events.reduce(reduce, INITIAL);
const EMPTY = { stable: "", tentative: "" };

test("stable and tentative words of a partial are separate", () => {
  const state = after(partial({ ...segment(1, "please check the"), stable: "please check", tentative: "the" }));
  expect(state.partials.agent).toEqual({ stable: "please check", tentative: "the" });
});

test("a final replaces the partial of its segment", () => {
  expect(after(partial(segment(1, "please che"))).partials.agent).toEqual({ stable: "", tentative: "please che" });
  const state = after(partial(segment(1, "please che")), final(segment(1, "please check")));
  expect(state.partials.agent).toEqual(EMPTY);
  expect(state.turns.map((turn) => turn.text)).toEqual(["please check"]);
});

test("a partial after its final is ignored", () => {
  const state = after(final(segment(2, "two")), partial(segment(2, "tw")), partial(segment(1, "on")));
  expect(state.partials.agent).toEqual(EMPTY);
  expect(after(final(segment(2, "two")), partial(segment(3, "thr"))).partials.agent.tentative).toBe("thr");
});

test("a late final of an earlier segment keeps the newer partial", () => {
  expect(after(final(segment(2, "two")), partial(segment(3, "thr")), final(segment(1, "one"))).partials.agent.tentative).toBe("thr");
});

test("finals are ordered by time, whenever they arrive", () => {
  const events = [final(segment(3, "c", 3000)), final(segment(1, "a", 1000)), final(segment(1, "b", 2000, "technician"))];
  expect(after(...events).turns.map((turn) => turn.text)).toEqual(["a", "b", "c"]);
});

test("a replayed final changes nothing", () => {
  const once = after(final(segment(1, "one")));
  expect(reduce(once, final(segment(1, "one"))).turns).toBe(once.turns);
});

test("a final without words only settles its segment", () => {
  const state = after(partial(segment(1, "hm")), final(segment(1, "")));
  expect(state).toMatchObject({ turns: [], partials: { agent: EMPTY }, settled: { agent: 1 } });
});

test("the parties are independent", () => {
  expect(after(final(segment(5, "x")), partial(segment(0, "hello", 0, "technician"))).partials.technician.tentative).toBe("hello");
});

test("levels become shares of the meter", () => {
  expect([meterShare(0), meterShare(-30), meterShare(-60), meterShare(-90), meterShare(6), meterShare(-Infinity)]).toEqual([1, 0.5, 0, 0, 1, 0]);
});

test("the status line shows delay, waiting segments and overload", () => {
  const levels = { agent_dbfs: -20, technician_dbfs: -60, position_ms: 0, lag_ms: 1240, partials_shed: 0, finals_waiting: 0 };
  expect(statusText(levels)).toBe("Transcript delay 1.2 s");
  expect(statusText({ ...levels, finals_waiting: 1, partials_shed: 4 })).toBe("Transcript delay 1.2 s · 1 segment waiting · 4 previews skipped");
  expect(statusText({ ...levels, finals_waiting: 9, finals_spilled: 3, partials_shed: 4, overload: 4 })).toBe("Transcript delay 1.2 s · 9 segments waiting, 3 on disk · overloaded: no live preview, lower accuracy");
});

test("the talk ratio and a lasting silence", () => {
  const levels = { agent_dbfs: -20, technician_dbfs: -20, position_ms: 60000, lag_ms: 0, partials_shed: 0, finals_waiting: 0 };
  const names = { agent: "Agent", technician: "Technician" };
  expect(talkText(levels, names)).toBe("");
  expect(talkText({ ...levels, agent_talk_ms: 0, technician_talk_ms: 0, silence_ms: 9000 }, names)).toBe("");
  expect(talkText({ ...levels, agent_talk_ms: 3000, technician_talk_ms: 9000, silence_ms: 2900 }, names)).toBe("Talk ratio: Agent 25%, Technician 75%");
  expect(talkText({ ...levels, agent_talk_ms: 3000, technician_talk_ms: 9000, silence_ms: 12000 }, names)).toBe("Talk ratio: Agent 25%, Technician 75% · Silence 0:12");
});
