import { afterEach, expect, test } from "vitest";
import { isCallOf } from "../src/softphone/leg";
import { allowPlainSocket, plainAddress } from "../src/softphone/local";
import { cursorAfter, plainCheck } from "../src/softphone/number";
import { isName, offered, together } from "../src/softphone/people";

const Real = globalThis.WebSocket;
afterEach(() => {
  globalThis.WebSocket = Real;
});

test("only the stand-in's host is reached in plain text", () => {
  expect(plainAddress("wss://127.0.0.1:8002/signal", "127.0.0.1:8002")).toBe("ws://127.0.0.1:8002/signal");
  for (const other of ["wss://voice-js.roaming.twilio.com/signal", "wss://127.0.0.1:8003/signal", "wss://127.0.0.1.evil.example:8002/signal"]) expect(plainAddress(other, "127.0.0.1:8002")).toBe(other);
});

test("a host that is not this machine is refused", () => {
  for (const host of ["carrier.example", "10.0.0.1:80", "localhost.evil.example", "127.0.0.1:8002/x", ""]) expect(() => allowPlainSocket(host)).toThrow("on this machine");
  expect(globalThis.WebSocket).toBe(Real);
});

test("the wrapper is a WebSocket", () => {
  const seen: string[] = [];
  globalThis.WebSocket = class {
    constructor(address: string) {
      seen.push(address);
    }
  } as unknown as typeof WebSocket;
  allowPlainSocket("localhost:9");
  new WebSocket("wss://localhost:9/signal");
  new WebSocket("wss://elsewhere.example/signal");
  expect(seen).toEqual(["ws://localhost:9/signal", "wss://elsewhere.example/signal"]);
});

test.each([
  ["+1 (212) 555-0123", true, "+12125550123"],
  ["0012125550123", true, "+12125550123"],
  ["2125550123", false, null],
  ["+0123456789", false, null],
  ["+1 212 call me", false, null],
])("without the server, %s: %s", (raw, valid, e164) => expect(plainCheck(raw)).toMatchObject({ valid, e164 }));

test("the cursor stays behind the digit that was typed", () => {
  expect(cursorAfter("2125550123", 3, "+1 212-555-0123")).toBe(7);
  expect(cursorAfter("+12125550123", 12, "+1 212-555-0123")).toBe(15);
  expect(cursorAfter("+1212", 0, "+1 212")).toBe(0);
});

test("named people come first, and each number once", () => {
  const named = [{ name: "Anna", number: "+1" }];
  const recent = [{ number: "+1", name: "Anna" }, { number: "+2", name: null }];
  expect(together({ named, recent })).toEqual([{ name: "Anna", number: "+1" }, { name: "", number: "+2" }]);
});

test("a call out is known by its leg, a call in by who calls", () => {
  const call = { call_sid: "CA1", state: "live", direction: "outgoing", number: "+1" } as const;
  expect(isCallOf(call, { sid: "CA1", from: null })).toBe(true);
  expect(isCallOf(call, { sid: "CA2", from: null })).toBe(false);
  expect(isCallOf({ ...call, direction: "incoming" }, { sid: "CA2", from: "+1" })).toBe(true);
  expect(isCallOf({ ...call, direction: "incoming", state: "ended" }, { sid: "CA2", from: "+1" })).toBe(false);
});

test("a part of a name finds who is meant, a number finds nobody out", () => {
  const people = ["Anna", "Otto", "Joanna", "Émile"].map((name, at) => ({ name, number: `+${at}` }));
  expect(offered(people, " ann").shown.map((one) => one.name)).toEqual(["Anna", "Joanna"]);
  expect(offered(people, "+1 212", 3)).toEqual({ shown: people.slice(0, 3), more: 1 });
  expect(offered(people, "é").shown.map((one) => one.name)).toEqual(["Émile"]);
  expect([isName("+1 (212) 555"), isName("Lee 2"), isName("")]).toEqual([false, true, false]);
});
