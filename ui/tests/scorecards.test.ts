import { expect, test } from "vitest";
import { answerOf, answerText, scoreText, type Question, type Review } from "../src/scorecards/types";

const question = (kind: Question["kind"], points: number): Question => ({ key: 1, text: "Greeted?", kind, points, critical: false });
const given = (points: number | null, not_applicable = false) => ({ question: 1, points, not_applicable });

test("an answer is shown by the kind of its question", () => {
  expect(answerText(given(5), question("yes_no", 5))).toBe("Yes");
  expect(answerText(given(0), question("yes_no", 5))).toBe("No");
  expect(answerText(given(0), question("scale", 10))).toBe("0 of 10");
  expect(answerText(given(null, true), question("scale", 10))).toBe("Not applicable");
  expect(answerText(given(null), question("scale", 10))).toBe("–");
  expect(answerText(undefined, question("yes_no", 5))).toBe("–");
});

test("a score has one decimal, and none without points", () => {
  expect(scoreText(80)).toBe("80.0 %");
  expect(scoreText(0)).toBe("0.0 %");
  expect(scoreText(null)).toBe("no score");
});

test("a question without an answer has an empty one", () => {
  const review = { answers: [{ ...given(5), text: "well", moments_ms: [900] }] } as unknown as Review;
  expect(answerOf(review, question("yes_no", 5)).text).toBe("well");
  expect(answerOf(review, { ...question("text", 0), key: 2 })).toEqual({ question: 2, points: null, not_applicable: false, text: "", moments_ms: [] });
});
