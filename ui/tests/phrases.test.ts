import { expect, test } from "vitest";
import { merged, phrasesOf } from "../src/technicians/phrases";

test("a phrase a line, or between commas", () => {
  expect(phrasesOf(" stop   cock\n\nVaillant, Ada Byron\nVaillant ")).toEqual(["stop cock", "Vaillant", "Ada Byron"]);
  expect(phrasesOf(" \n ")).toEqual([]);
});

test("what others changed meanwhile stays changed", () => {
  expect(merged(["a", "b"], ["a", "c"], ["a", "b", "theirs"])).toEqual(["a", "theirs", "c"]);
  expect(merged(["a", "b"], ["a", "b", "c"], ["b"])).toEqual(["b", "c"]);
  expect(merged([], ["a"], ["a"])).toEqual(["a"]);
  expect(merged(["a"], [], ["a"])).toEqual([]);
});
