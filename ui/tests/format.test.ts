import { expect, test } from "vitest";
import { count, duration, fragment, positionOf, sentence, size, telephone } from "../src/page/format";

test.each([
  [0, "0:00"],
  [59_999, "0:59"],
  [83_250, "1:23"],
  [3_723_000, "1:02:03"],
  [-5, "0:00"],
  [null, "–"],
  [Number.NaN, "–"],
])("%s ms is %s", (ms, text) => expect(duration(ms)).toBe(text));

test("a position survives the URL", () => {
  for (const ms of [0, 100, 12_300, 7_200_000]) expect(positionOf(fragment(ms))).toBe(ms);
});

test.each([
  ["#t=12", 12_000],
  ["#t=1:02", 62_000],
  ["#t=1:02:03.5", 3_723_500],
  ["#t=", null],
  ["#t=-1", null],
  ["#x=1", null],
  ["#t=1e9", null],
])("%s is the position %s", (hash, ms) => expect(positionOf(hash)).toBe(ms));

test.each([
  [0, "0 B"],
  [960, "960 B"],
  [12_400, "12.4 kB"],
  [999_960, "1.0 MB"],
  [1.9e9, "1.9 GB"],
  [3e12, "3.0 TB"],
])("%s bytes are %s", (bytes, text) => expect(size(bytes)).toBe(text));

test("messages become sentences once", () => {
  expect(sentence("the layers differ")).toBe("The layers differ.");
  expect(sentence("Why?")).toBe("Why?");
  expect(sentence("")).toBe("");
});

test("counts and phone numbers", () => {
  expect(count(1, "call")).toBe("1 call");
  expect(count(1200, "call")).toBe("1,200 calls");
  expect(telephone("+12125550123")).toBe("+1 212-555-0123");
  expect(telephone("+493012345")).toBe("+493012345");
  for (const number of ["anonymous", "+266696687", "Restricted", ""]) expect(telephone(number)).toBe("Withheld number");
});
