import { expect, test } from "vitest";
import { gap } from "../src/page/words";

const joined = (words: string[]): string => words.reduce((text, word) => text + gap(text, word) + word, "");

// The same cases as in tests/domain/test_words.py.
test.each([
  [["please", "check", "it."], "please check it."],
  [["請", "檢查", "鍋爐"], "請檢查鍋爐"],
  [["ボイラー", "を", "確認", "。"], "ボイラーを確認。"],
  [["กรุณา", "ตรวจสอบ"], "กรุณาตรวจสอบ"],
  [["보일러를", "확인해", "주세요"], "보일러를 확인해 주세요"],
  [["用", "iPhone", "打"], "用 iPhone 打"],
  [["𠮷", "野"], "𠮷野"],
  [["well…", "then"], "well… then"],
  [["好…", "是"], "好…是"],
  [["", "a", "", "b"], "a b"],
  [[], ""],
])("words %j are joined as their script is written", (words, text) => {
  expect(joined(words)).toBe(text);
});
