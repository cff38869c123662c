// The recording policy as values. Pure: the element draws and edits them.

export interface Wording {
  language: string;
  text: string;
  sound: string;
  yes: string[];
  no: string[];
}

export interface Notice {
  name: string;
  version?: number;
  wordings: Wording[];
}

export interface Rule {
  name: string;
  mode: "none" | "announce" | "ask" | "do_not_record";
  notice: string;
  on_decline: "continue" | "end";
  language: string | null;
  direction: "outgoing" | "incoming" | null;
  prefixes: string[];
  countries: string[];
  requirement: "all_parties" | "notice" | "one_party" | null;
  agents: string[];
}

export interface Policy {
  version: number;
  rules: Rule[];
  notices: Notice[];
  agents_may_skip: boolean;
}

export interface Decision {
  mode: Rule["mode"];
  rule: string | null;
  notice: string | null;
  language: string | null;
  text: string | null;
  number: string | null;
  country: string | null;
  jurisdiction: { code: string; name: string; requirement: string; note: string; source: string; checked: string } | null;
}

export const MODES: Record<Rule["mode"], string> = {
  none: "recorded without a notice",
  announce: "recorded after a notice",
  ask: "recorded only with consent",
  do_not_record: "not recorded",
};
const REQUIREMENTS: Record<string, string> = { all_parties: "consent of all parties", notice: "a notice", one_party: "consent of one party" };

/** `words("a, b  c")`: separated by spaces, or by commas alone for phrases. */
export function words(text: string, separator = /[\s,]+/): string[] {
  return [...new Set(text.split(separator).map((word) => word.trim()).filter(Boolean))];
}

export function describe(rule: Rule): string {
  const criteria = [
    rule.direction && `${rule.direction} calls`,
    rule.prefixes.length && `numbers ${rule.prefixes.join(", ")}`,
    rule.countries.length && `countries ${rule.countries.join(", ")}`,
    rule.requirement && `where the law requires ${REQUIREMENTS[rule.requirement]}`,
    rule.agents.length && `agents ${rule.agents.join(", ")}`,
  ].filter(Boolean);
  const notice = rule.mode === "announce" || rule.mode === "ask" ? ` (${rule.notice}${rule.language ? `, ${rule.language}` : ""})` : "";
  const declined = rule.mode === "ask" ? `; declining ${rule.on_decline === "end" ? "ends the call" : "continues without recording"}` : "";
  return `${criteria.join("; ") || "All calls"}: ${MODES[rule.mode]}${notice}${declined}.`;
}

export function describeDecision({ mode, rule, text, jurisdiction, country }: Decision): string[] {
  const place = jurisdiction ? `${jurisdiction.name} requires ${REQUIREMENTS[jurisdiction.requirement]}, by the table of ${jurisdiction.checked} (no legal advice).` : country ? `The table has no entry for ${country}.` : "The number has no country.";
  return [`${rule ? `Rule “${rule}”` : "No rule matches"}: the call is ${MODES[mode]}.`, text ?? "", place].filter(Boolean);
}

/** The rules with `rule` in place of the one of its name, else at the end; one that excludes calls comes first. */
export function withRule(rules: readonly Rule[], rule: Rule): Rule[] {
  if (rules.some((one) => one.name === rule.name)) return rules.map((one) => (one.name === rule.name ? rule : one));
  return rule.mode === "do_not_record" ? [rule, ...rules] : [...rules, rule];
}

/** The notices with `wording` in the notice of that name, in place of the one of its language. */
export function withWording(notices: readonly Notice[], name: string, wording: Wording): Notice[] {
  const known = notices.find((one) => one.name === name);
  if (!known) return [...notices, { name, wordings: [wording] }];
  const replaced = known.wordings.some((one) => one.language === wording.language);
  const wordings = replaced ? known.wordings.map((one) => (one.language === wording.language ? wording : one)) : [...known.wordings, wording];
  return notices.map((one) => (one === known ? { ...known, wordings } : one));
}

/** The notices without that wording, and without a notice that has no other one. */
export function withoutWording(notices: readonly Notice[], name: string, language: string): Notice[] {
  return notices.map((one) => (one.name === name ? { ...one, wordings: one.wordings.filter((wording) => wording.language !== language) } : one)).filter((one) => one.wordings.length);
}
