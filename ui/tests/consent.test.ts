import { expect, test } from "vitest";
import { describe, describeDecision, withoutWording, withRule, withWording, words, type Rule } from "../src/consent/policy";

const RULE: Rule = { name: "Berlin", mode: "ask", notice: "Question", on_decline: "end", language: "de-DE", direction: "outgoing", prefixes: ["+4930"], countries: [], requirement: "all_parties", agents: ["ada"] };
const WORDING = { language: "en-US", text: "Recorded.", sound: "", yes: [], no: [] };

test("lists are separated by spaces or commas", () => {
  expect(words(" +1415, +49 +49")).toEqual(["+1415", "+49"]);
  expect(words("yes, I agree", /,/)).toEqual(["yes", "I agree"]);
});

test("a rule is described in one sentence", () => {
  expect(describe(RULE)).toBe("outgoing calls; numbers +4930; where the law requires consent of all parties; agents ada: recorded only with consent (Question, de-DE); declining ends the call.");
  expect(describe({ ...RULE, mode: "none", direction: null, prefixes: [], requirement: null, agents: [] })).toBe("All calls: recorded without a notice.");
});

test("a rule replaces the one of its name, and one that excludes calls comes first", () => {
  const other: Rule = { ...RULE, name: "other" };
  expect(withRule([RULE, other], { ...RULE, mode: "none" }).map((rule) => rule.mode)).toEqual(["none", "ask"]);
  expect(withRule([RULE], other).map((rule) => rule.name)).toEqual(["Berlin", "other"]);
  expect(withRule([RULE], { ...other, mode: "do_not_record" }).map((rule) => rule.name)).toEqual(["other", "Berlin"]);
});

test("a wording replaces the one of its language", () => {
  const once = withWording([], "Notice", WORDING);
  const twice = withWording(once, "Notice", { ...WORDING, language: "de-DE" });
  expect(withWording(twice, "Notice", { ...WORDING, text: "New." })[0]!.wordings.map((one) => one.text)).toEqual(["New.", "Recorded."]);
  expect(withoutWording(twice, "Notice", "en-US")[0]!.wordings).toHaveLength(1);
  expect(withoutWording(once, "Notice", "en-US")).toEqual([]);
});

test("a decision names the rule, the text and the source of the requirement", () => {
  const decision = { mode: "ask", rule: "Berlin", notice: "Question", language: "de-DE", text: "Darf ich?", number: "+4930", country: "DE", jurisdiction: { code: "DE", name: "Germany", requirement: "all_parties", note: "", source: "law", checked: "2026-11-29" } } as const;
  expect(describeDecision(decision)).toEqual(["Rule “Berlin”: the call is recorded only with consent.", "Darf ich?", "Germany requires consent of all parties, by the table of 2026-11-29 (no legal advice)."]);
  expect(describeDecision({ ...decision, mode: "none", rule: null, text: null, jurisdiction: null })).toEqual(["No rule matches: the call is recorded without a notice.", "The table has no entry for DE."]);
});
