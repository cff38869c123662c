// Every error that the SDK can raise has advice; the SDK's own table lists them.
import { expect, test } from "vitest";
import * as generated from "../node_modules/@twilio/voice-sdk/esm/twilio/errors/generated.js";
import { advice, adviceText, browserProblem, KNOWN_CODES, warning } from "../src/softphone/errors";

const sdkCodes = [...(generated.errorsByCode as Map<number, unknown>).keys()];

test("the SDK's table of errors is found", () => expect(sdkCodes.length).toBeGreaterThan(30));

test.each(sdkCodes)("%s has advice", (code) => expect(KNOWN_CODES).toContain(code));

test.each(KNOWN_CODES.map((code) => [code]))("%s says what happened and what to do", (code) => {
  const { problem, action } = advice(code);
  expect(problem).toMatch(/^[A-Z].*\.$/);
  expect(action).toMatch(/^[A-Z].*[.?]$/);
});

test("a denied and a broken microphone get different advice", () => {
  expect(advice(31401).problem).toContain("not allowed to use the microphone");
  expect(advice(31402).problem).toContain("could not be opened");
});

test("an unknown code gets general advice", () => {
  expect(advice(undefined)).toEqual(advice(99_999));
  expect(advice(undefined).action).toContain("Call again");
});

test("an unusable browser or address is reported", () => {
  expect(browserProblem({ secure: true, microphone: true, webrtc: true })).toBeNull();
  expect(browserProblem({ secure: false, microphone: false, webrtc: true })?.action).toContain("HTTPS");
  expect(browserProblem({ secure: true, microphone: true, webrtc: false })?.problem).toContain("cannot make calls");
});

test("warnings are sentences", () => {
  expect(warning("high-packet-loss")).toContain("loses audio");
  expect(warning("something new")).toBe("There is a problem with the call quality.");
});

test("only administrators get advice about the server", () => {
  expect(adviceText(31201, true)).toContain("callreel doctor");
  expect(adviceText(31201, false)).toBe("The carrier rejected this server's access token. Report the code below to an administrator. (31201)");
});
