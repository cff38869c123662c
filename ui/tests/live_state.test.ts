import { expect, test } from "vitest";
import { lagText, meterShare, NOTHING, reduce, type LiveEvent, type Spoken } from "../src/live/state";

const said = (number: number, text: string, start_ms = number * 1000, role: Spoken["role"] = "agent"): Spoken => ({ role, number, start_ms, end_ms: start_ms + 900, text });
const partial = (data: Spoken): LiveEvent => ({ kind: "partial", data });
const final = (data: Spoken): LiveEvent => ({ kind: "final", data });
const after = (...events: LiveEvent[]) => events.reduce(reduce, NOTHING);
const QUIET = { stable: "", tentative: "" };

test("stable words are told apart from those that may change", () => {
  const state = after(partial({ ...said(1, "please check the"), stable: "please check", tentative: "the" }));
  expect(state.partials.agent).toEqual({ stable: "please check", tentative: "the" });
});

test("a partial is provisional, its final settles it", () => {
  expect(after(partial(said(1, "please che"))).partials.agent).toEqual({ stable: "", tentative: "please che" });
  const state = after(partial(said(1, "please che")), final(said(1, "please check")));
  expect(state.partials.agent).toEqual(QUIET);
  expect(state.turns.map((turn) => turn.text)).toEqual(["please check"]);
});

test("a partial after its final is stale", () => {
  const state = after(final(said(2, "two")), partial(said(2, "tw")), partial(said(1, "on")));
  expect(state.partials.agent).toEqual(QUIET);
  expect(after(final(said(2, "two")), partial(said(3, "thr"))).partials.agent.tentative).toBe("thr");
});

test("a late final of an earlier segment leaves the newer partial", () => {
  expect(after(final(said(2, "two")), partial(said(3, "thr")), final(said(1, "one"))).partials.agent.tentative).toBe("thr");
});

test("finals stand in the order of speaking, whoever spoke and whenever they come", () => {
  const events = [final(said(3, "c", 3000)), final(said(1, "a", 1000)), final(said(1, "b", 2000, "technician"))];
  expect(after(...events).turns.map((turn) => turn.text)).toEqual(["a", "b", "c"]);
});

test("a replayed final changes nothing", () => {
  const once = after(final(said(1, "one")));
  expect(reduce(once, final(said(1, "one"))).turns).toBe(once.turns);
});

test("a final without words only settles", () => {
  const state = after(partial(said(1, "hm")), final(said(1, "")));
  expect(state).toMatchObject({ turns: [], partials: { agent: QUIET }, settled: { agent: 1 } });
});

test("the parties do not touch each other", () => {
  expect(after(final(said(5, "x")), partial(said(0, "hello", 0, "technician"))).partials.technician.tentative).toBe("hello");
});

test("meters", () => {
  expect([meterShare(0), meterShare(-30), meterShare(-60), meterShare(-90), meterShare(6), meterShare(-Infinity)]).toEqual([1, 0.5, 0, 0, 1, 0]);
});

test("the lag line says what is behind and what was left out", () => {
  const levels = { agent_dbfs: -20, technician_dbfs: -60, position_ms: 0, lag_ms: 1240, partials_shed: 0, finals_waiting: 0 };
  expect(lagText(levels)).toBe("Words are 1.2 s behind");
  expect(lagText({ ...levels, finals_waiting: 1, partials_shed: 4 })).toBe("Words are 1.2 s behind · 1 segment waits · 4 previews left out");
  expect(lagText({ ...levels, finals_waiting: 9, finals_spilled: 3, partials_shed: 4, overload: 4 })).toBe("Words are 1.2 s behind · 9 segments wait, 3 on disk · no previews and rougher words until it catches up");
});
