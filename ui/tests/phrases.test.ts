import { expect, test } from "vitest";
import { mergePhrases, phrasesOf } from "../src/phone_book/phrases";

test("phrases are separated by line ends or commas", () => {
  expect(phrasesOf(" stop   cock\n\nVaillant, Ada Byron\nVaillant ")).toEqual(["stop cock", "Vaillant", "Ada Byron"]);
  expect(phrasesOf(" \n ")).toEqual([]);
});

test("concurrent changes are kept", () => {
  expect(mergePhrases(["a", "b"], ["a", "c"], ["a", "b", "theirs"])).toEqual(["a", "theirs", "c"]);
  expect(mergePhrases(["a", "b"], ["a", "b", "c"], ["b"])).toEqual(["b", "c"]);
  expect(mergePhrases([], ["a"], ["a"])).toEqual(["a"]);
  expect(mergePhrases(["a"], [], ["a"])).toEqual([]);
});
