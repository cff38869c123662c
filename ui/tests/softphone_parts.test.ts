import { afterEach, expect, test } from "vitest";
import { belongsTo } from "../src/softphone/leg";
import { allowPlainSocket, plainAddress } from "../src/softphone/simulator_socket";
import { checkOffline, cursorAfterFormatting } from "../src/softphone/number";
import { isName, mergeContacts, suggestions } from "../src/softphone/contacts";

const Original = globalThis.WebSocket;
afterEach(() => {
  globalThis.WebSocket = Original;
});

test("only the simulator's host is reached without TLS", () => {
  expect(plainAddress("wss://127.0.0.1:8002/signal", "127.0.0.1:8002")).toBe("ws://127.0.0.1:8002/signal");
  for (const other of ["wss://voice-js.roaming.twilio.com/signal", "wss://127.0.0.1:8003/signal", "wss://127.0.0.1.evil.example:8002/signal"]) expect(plainAddress(other, "127.0.0.1:8002")).toBe(other);
});

test("a host on another computer is refused", () => {
  for (const host of ["carrier.example", "10.0.0.1:80", "localhost.evil.example", "127.0.0.1:8002/x", ""]) expect(() => allowPlainSocket(host)).toThrow("on this computer");
  expect(globalThis.WebSocket).toBe(Original);
});

test("other hosts keep TLS", () => {
  const addresses: string[] = [];
  globalThis.WebSocket = class {
    constructor(address: string) {
      addresses.push(address);
    }
  } as unknown as typeof WebSocket;
  allowPlainSocket("localhost:9");
  new WebSocket("wss://localhost:9/signal");
  new WebSocket("wss://elsewhere.example/signal");
  expect(addresses).toEqual(["ws://localhost:9/signal", "wss://elsewhere.example/signal"]);
});

test.each([
  ["+1 (212) 555-0123", true, "+12125550123"],
  ["0012125550123", true, "+12125550123"],
  ["2125550123", false, null],
  ["+0123456789", false, null],
  ["+1 212 call me", false, null],
])("offline check of %s: %s", (raw, valid, e164) => expect(checkOffline(raw)).toMatchObject({ valid, e164 }));

test("the cursor stays after the typed digit", () => {
  expect(cursorAfterFormatting("2125550123", 3, "+1 212-555-0123")).toBe(7);
  expect(cursorAfterFormatting("+12125550123", 12, "+1 212-555-0123")).toBe(15);
  expect(cursorAfterFormatting("+1212", 0, "+1 212")).toBe(0);
});

test("named contacts come first, and each number once", () => {
  const named = [{ name: "Anna", number: "+1" }];
  const recent = [{ number: "+1", name: "Anna" }, { number: "+2", name: null }];
  expect(mergeContacts({ named, recent })).toEqual([{ name: "Anna", number: "+1" }, { name: "", number: "+2" }]);
});

test("outgoing calls match by leg, incoming ones by caller", () => {
  const call = { call_sid: "CA1", state: "live", direction: "outgoing", number: "+1" } as const;
  expect(belongsTo({ sid: "CA1", from: null }, call)).toBe(true);
  expect(belongsTo({ sid: "CA2", from: null }, call)).toBe(false);
  expect(belongsTo({ sid: "CA2", from: "+1" }, { ...call, direction: "incoming" })).toBe(true);
  expect(belongsTo({ sid: "CA2", from: "+1" }, { ...call, direction: "incoming", state: "ended" })).toBe(false);
});

test("part of a name filters contacts, a number does not", () => {
  const contacts = ["Anna", "Otto", "Joanna", "Émile"].map((name, at) => ({ name, number: `+${at}` }));
  expect(suggestions(contacts, " ann").shown.map((one) => one.name)).toEqual(["Anna", "Joanna"]);
  expect(suggestions(contacts, "+1 212", 3)).toEqual({ shown: contacts.slice(0, 3), more: 1 });
  expect(suggestions(contacts, "é").shown.map((one) => one.name)).toEqual(["Émile"]);
  expect([isName("+1 (212) 555"), isName("Lee 2"), isName("")]).toEqual([false, true, false]);
});
