// Every error that the SDK can raise has words of its own; the SDK's own table says which there are.
import { expect, test } from "vitest";
import * as generated from "../node_modules/@twilio/voice-sdk/esm/twilio/errors/generated.js";
import { advice, KNOWN_CODES, obstacle, warning } from "../src/softphone/errors";

const sdkCodes = [...(generated.errorsByCode as Map<number, unknown>).keys()];

test("the SDK's table was found", () => expect(sdkCodes.length).toBeGreaterThan(30));

test.each(sdkCodes)("%s has words", (code) => expect(KNOWN_CODES).toContain(code));

test.each(KNOWN_CODES.map((code) => [code]))("%s says what happened and what to do", (code) => {
  const { what, todo } = advice(code);
  expect(what).toMatch(/^[A-Z].*\.$/);
  expect(todo).toMatch(/^[A-Z].*[.?]$/);
});

test("the microphone's two troubles are told apart", () => {
  expect(advice(31401).what).toContain("may not use the microphone");
  expect(advice(31402).what).toContain("could not be opened");
});

test("an unknown code still helps", () => {
  expect(advice(undefined)).toEqual(advice(99_999));
  expect(advice(undefined).todo).toContain("Call again");
});

test("what stands in the way of any call", () => {
  expect(obstacle({ secure: true, microphone: true, webrtc: true })).toBeNull();
  expect(obstacle({ secure: false, microphone: false, webrtc: true })?.todo).toContain("https");
  expect(obstacle({ secure: true, microphone: true, webrtc: false })?.what).toContain("cannot make calls");
});

test("warnings are sentences", () => {
  expect(warning("high-packet-loss")).toContain("loses sound");
  expect(warning("something new")).toBe("The line has a problem.");
});
