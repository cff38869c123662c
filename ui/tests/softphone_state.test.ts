import { expect, test } from "vitest";
import { isActive, LOADING, next, readiness, status, type SoftphoneEvent, type SoftphoneState } from "../src/softphone/state";

const after = (...events: SoftphoneEvent[]): SoftphoneState => events.reduce(next, LOADING);
const READY: SoftphoneEvent = { is: "registered", yes: true };
const DIALLED: SoftphoneEvent = { is: "dialled", with: "Anna" };
const OFFERED: SoftphoneEvent = { is: "offered", with: "+1 212-555-0123" };

test("a call out, from the button to its end", () => {
  expect(after(READY).phase).toBe("idle");
  expect(status(after(READY, DIALLED))).toBe("Calling Anna…");
  expect(status(after(READY, DIALLED, { is: "ringing" }))).toBe("It rings at Anna");
  const talking = after(READY, DIALLED, { is: "ringing" }, { is: "answered", at: 5 }, { is: "muted", yes: true });
  expect(talking).toMatchObject({ phase: "talking", answeredAt: 5, muted: true });
  expect(next(talking, { is: "ended", note: "The call has ended." })).toMatchObject({ phase: "idle", answeredAt: null, muted: false, note: "The call has ended." });
});

test("a call in is offered, and can be given up by the caller", () => {
  expect(status(after(READY, OFFERED))).toBe("+1 212-555-0123 is calling");
  expect(after(READY, OFFERED, { is: "answered", at: 1 }).phase).toBe("talking");
  expect(after(READY, OFFERED, { is: "ended", note: "gone" })).toMatchObject({ phase: "idle", note: "gone" });
});

test("nothing is dialled before the line is there, or over another call", () => {
  expect(after(DIALLED).phase).toBe("loading");
  expect(after({ is: "missing" }, DIALLED).phase).toBe("unready");
  expect(after(READY, OFFERED, DIALLED).with).toBe("+1 212-555-0123");
});

test("losing the registration in mid-call does not end the call", () => {
  const state = after(READY, DIALLED, { is: "answered", at: 1 }, { is: "registered", yes: false }, { is: "missing" });
  expect(state).toMatchObject({ phase: "talking", registered: false });
});

test("a cut line says so until it is back", () => {
  const cut = after(READY, DIALLED, { is: "answered", at: 1 }, { is: "reconnecting", yes: true });
  expect(status(cut)).toContain("joining again");
  expect(status(next(cut, { is: "reconnecting", yes: false }))).toBe("Talking with Anna");
});

test("why there is no line is said while it is awaited", () => {
  expect(status(LOADING)).toContain("Connecting");
  const broken = after({ is: "ended", note: "The line to the carrier broke." });
  expect(broken).toMatchObject({ phase: "loading", note: "The line to the carrier broke." });
  expect(next(broken, READY)).toMatchObject({ phase: "idle", note: "" });
});

test("muting and ringing out of turn change nothing", () => {
  const idle = after(READY);
  for (const event of [{ is: "muted", yes: true }, { is: "ringing" }, { is: "answered", at: 1 }, { is: "warned", note: "x" }] as SoftphoneEvent[]) expect(next(idle, event)).toBe(idle);
  expect(isActive(idle)).toBe(false);
});

test("the phone says whether it rings here", () => {
  expect(readiness(after(READY))).toContain("incoming calls ring here");
  expect(readiness(after(READY, { is: "registered", yes: false }))).toContain("Not connected to the carrier");
  expect(readiness(after(READY, DIALLED))).toBe("");
});
