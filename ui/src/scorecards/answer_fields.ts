// The fields of one question: its answer, and with `remarks` a comment and links to moments of the call.

import { el } from "../page/dom";
import { count, duration, fragment } from "../page/format";
import { currentPosition } from "../page/position";
import { toast } from "../page/toast";
import { citedTurn } from "../insight/cited_turn";
import type { Role } from "../page/api_types";
import { answerText, type Answer, type Question, type Suggestion } from "./types";

/** As `scoring/score.py` has it. */
const LONGEST_REMARK = 2000;
const MOST_MOMENTS = 10;
const NOT_APPLICABLE = "na";

export class AnswerFields {
  readonly element: HTMLFieldSetElement;
  private readonly choices: HTMLInputElement[] = [];
  private readonly text = el("textarea", { rows: 2, maxlength: LONGEST_REMARK });
  private readonly moments = el("ul.chips");
  private momentsMs: number[];
  private readonly changed: () => void;

  /** `group` makes the names of the fields unique on the page; `changed` is called after each change that is no input event. */
  constructor(
    private readonly question: Question,
    answer: Answer,
    place: number,
    options: { group: string; remarks: boolean; changed: () => void },
  ) {
    this.momentsMs = [...answer.moments_ms];
    this.changed = options.changed;
    this.text.value = answer.text;
    const facts = [question.points && count(question.points, "point"), question.critical && "critical"].filter(Boolean).join(", ");
    this.element = el("fieldset.score-question", {}, el("legend", {}, `${place}. ${question.text}`, facts && el("span.soft.small", {}, ` ${facts}`)));
    if (question.kind !== "text") this.element.append(el("div.tabs", {}, ...this.options().map(([value, label]) => this.choice(`${options.group}-${question.key}`, value, label, answer))));
    if (options.remarks) this.element.append(this.remarks(options.changed));
  }

  get answer(): Answer {
    const chosen = this.choices.find((input) => input.checked)?.value;
    return {
      question: this.question.key,
      points: chosen === undefined || chosen === NOT_APPLICABLE ? null : Number(chosen),
      not_applicable: chosen === NOT_APPLICABLE,
      text: this.text.value,
      moments_ms: this.momentsMs,
    };
  }

  /** Show a suggestion instead of an earlier one; false without one, or if the person has answered the question. */
  suggest(given: Suggestion | undefined, names: Record<Role, string>): boolean {
    this.element.querySelector(".suggestion")?.remove();
    const { points, not_applicable } = this.answer;
    if (!given || points !== null || not_applicable) return false;
    const button = (words: string, style: string, then: () => void) => el(`button.${style}`, { type: "button", "aria-label": `${words}: ${this.question.text}`, onclick: then }, words);
    const close = () => {
      box.remove();
      (this.choices.find((input) => input.checked) ?? this.choices[0])?.focus();
    };
    const box = el(
      "div.suggestion",
      { role: "group", "aria-label": `Suggestion: ${this.question.text}` },
      el("p", {}, el("span.badge.plain", {}, "Suggested"), " ", el("strong", {}, answerText(given, this.question)), ` ${given.reason}`),
      el("ul.hits", {}, ...given.turns.map((turn) => citedTurn(turn, names[turn.role], duration(turn.start_ms), fragment(turn.start_ms)))),
      el("p.row", {}, button("Accept", "button.quiet", () => {
        this.accept(given);
        close();
      }), button("Dismiss", "link", close)),
    );
    this.element.querySelector("legend")!.after(box);
    return true;
  }

  private accept({ points, not_applicable, turns }: Suggestion): void {
    const value = not_applicable ? NOT_APPLICABLE : String(points);
    for (const input of this.choices) input.checked = input.value === value;
    const moments = new Set([...this.momentsMs, ...turns.map((turn) => turn.start_ms)]);
    this.momentsMs = [...moments].slice(0, MOST_MOMENTS).sort((a, b) => a - b);
    this.drawMoments(this.changed);
    this.changed();
  }

  private options(): [string, string][] {
    const { kind, points } = this.question;
    const given: [string, string][] = kind === "yes_no" ? [[String(points), "Yes"], ["0", "No"]] : Array.from({ length: points + 1 }, (_, at) => [String(at), String(at)]);
    return [...given, [NOT_APPLICABLE, "Not applicable"]];
  }

  private choice(name: string, value: string, label: string, answer: Answer): HTMLLabelElement {
    const input = el("input", { type: "radio", name, value });
    input.checked = answer.not_applicable ? value === NOT_APPLICABLE : answer.points !== null && value === String(answer.points);
    this.choices.push(input);
    return el("label.tab", {}, input, label);
  }

  private remarks(changed: () => void): HTMLElement {
    const add = () => {
      const at = currentPosition();
      if (this.momentsMs.length >= MOST_MOMENTS) return toast(`A question has at most ${MOST_MOMENTS} moments`);
      if (!this.momentsMs.includes(at)) this.momentsMs = [...this.momentsMs, at].sort((a, b) => a - b);
      this.drawMoments(changed);
      changed();
    };
    this.drawMoments(changed);
    return el(
      "div.remarks",
      {},
      el("label", {}, el("span.small", {}, this.question.kind === "text" ? "Answer" : "Comment"), this.text),
      this.moments,
      el("p", {}, el("button.link", { type: "button", "aria-label": `Link this moment: ${this.question.text}`, onclick: add }, "Link this moment")),
    );
  }

  private drawMoments(changed: () => void): void {
    const remove = (at: number) => {
      this.momentsMs = this.momentsMs.filter((one) => one !== at);
      this.drawMoments(changed);
      changed();
      this.element.querySelector<HTMLElement>(".remarks > p button")?.focus();
    };
    this.moments.replaceChildren(...this.momentsMs.map((at) => el("li", {}, momentLink(at), " ", el("button.link", { type: "button", "aria-label": `Remove the link to ${duration(at)}`, onclick: () => remove(at) }, "×"))));
    this.moments.hidden = !this.momentsMs.length;
  }
}

/** A link that plays the call from a moment. */
export function momentLink(at: number): HTMLAnchorElement {
  return el("a.figure", { href: fragment(at), title: "Play from here" }, duration(at));
}
