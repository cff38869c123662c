import { expect, test } from "vitest";
import { isActive, LOADING, next, readiness, status, type SoftphoneEvent, type SoftphoneState } from "../src/softphone/state";

const after = (...events: SoftphoneEvent[]): SoftphoneState => events.reduce(next, LOADING);
const READY: SoftphoneEvent = { type: "registration", active: true };
const DIALLED: SoftphoneEvent = { type: "dialled", party: "Anna" };
const INCOMING: SoftphoneEvent = { type: "incoming", party: "+1 212-555-0123" };

test("an outgoing call goes from dialling to its end", () => {
  expect(after(READY).phase).toBe("idle");
  expect(status(after(READY, DIALLED))).toBe("Calling Anna…");
  expect(status(after(READY, DIALLED, { type: "ringing" }))).toBe("Ringing Anna…");
  const talking = after(READY, DIALLED, { type: "ringing" }, { type: "answered", at: 5 }, { type: "mute", active: true });
  expect(talking).toMatchObject({ phase: "talking", answeredAt: 5, muted: true });
  expect(next(talking, { type: "ended", note: "The call has ended." })).toMatchObject({ phase: "idle", answeredAt: null, muted: false, note: "The call has ended." });
});

test("an incoming call can be answered or abandoned", () => {
  expect(status(after(READY, INCOMING))).toBe("+1 212-555-0123 is calling");
  expect(after(READY, INCOMING, { type: "answered", at: 1 }).phase).toBe("talking");
  expect(after(READY, INCOMING, { type: "ended", note: "gone" })).toMatchObject({ phase: "idle", note: "gone" });
});

test("nothing is dialled before registration or during a call", () => {
  expect(after(DIALLED).phase).toBe("loading");
  expect(after({ type: "unavailable" }, DIALLED).phase).toBe("unavailable");
  expect(after(READY, INCOMING, DIALLED).party).toBe("+1 212-555-0123");
});

test("losing the registration does not end a call", () => {
  const state = after(READY, DIALLED, { type: "answered", at: 1 }, { type: "registration", active: false }, { type: "unavailable" });
  expect(state).toMatchObject({ phase: "talking", registered: false });
});

test("the status shows a lost connection until it is back", () => {
  const cut = after(READY, DIALLED, { type: "answered", at: 1 }, { type: "reconnecting", active: true });
  expect(status(cut)).toContain("Reconnecting");
  expect(status(next(cut, { type: "reconnecting", active: false }))).toBe("Talking to Anna");
});

test("an error is shown while the line is loading", () => {
  expect(status(LOADING)).toContain("Connecting");
  const broken = after({ type: "ended", note: "The connection to the carrier was lost." });
  expect(broken).toMatchObject({ phase: "loading", note: "The connection to the carrier was lost." });
  expect(next(broken, READY)).toMatchObject({ phase: "idle", note: "" });
});

test("events that do not fit the phase are ignored", () => {
  const idle = after(READY);
  for (const event of [{ type: "mute", active: true }, { type: "ringing" }, { type: "answered", at: 1 }, { type: "warning", note: "x" }] as SoftphoneEvent[]) expect(next(idle, event)).toBe(idle);
  expect(isActive(idle)).toBe(false);
});

test("the phone shows whether incoming calls ring", () => {
  expect(readiness(after(READY))).toContain("incoming calls");
  expect(readiness(after(READY, { type: "registration", active: false }))).toContain("Not connected to the carrier");
  expect(readiness(after(READY, DIALLED))).toBe("");
});

test("pressed keys are shown during the call only", () => {
  const talking = after(READY, DIALLED, { type: "answered", at: 1 }, { type: "digit", digit: "1" }, { type: "digit", digit: "#" });
  expect(talking.digits).toBe("1#");
  expect(next(talking, { type: "ended", note: "" }).digits).toBe("");
  expect(after(READY, { type: "digit", digit: "1" }).digits).toBe("");
});
