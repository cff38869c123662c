// Answers that a language model suggests for a draft. They are no answers until the person accepts them.

import { partText } from "../insight/progress";
import { taken, type Facts, WaitingForModel } from "../insight/waiting";
import type { Role } from "../page/api_types";
import { el } from "../page/dom";
import { count } from "../page/format";
import type { AnswerFields } from "./answer_fields";
import type { Suggestion } from "./types";

interface Suggested extends Facts {
  suggestions: Suggestion[];
}

export class Suggestions {
  readonly element: HTMLElement;
  private readonly status = el("span.small.soft", { role: "status" }, "The text of the call is sent to the language model.");
  private readonly waiting: WaitingForModel;

  /** `address` is that of the review's suggestions. */
  constructor(
    private readonly address: string,
    private readonly fields: readonly AnswerFields[],
    private readonly names: Record<Role, string>,
  ) {
    const start = el("button.button.quiet", { type: "button", onclick: () => void this.ask() }, "Suggest answers");
    const cancel = el("button.button.quiet", { type: "button", hidden: true }, "Cancel");
    this.element = el("p.row", {}, start, cancel, this.status);
    this.waiting = new WaitingForModel(start, cancel, this.status);
  }

  close(): void {
    this.waiting.abort();
  }

  private async ask(): Promise<void> {
    const answer = await this.waiting.run<Suggested>(this.address, undefined, partText);
    if (!answer) return;
    const shown = this.fields.filter((field) => field.suggest(answer.suggestions.find((one) => one.question === field.answer.question), this.names));
    this.status.textContent = summary(answer, shown.length);
    shown[0]?.element.querySelector<HTMLElement>(".suggestion button")?.focus();
  }
}

function summary(answer: Suggested, shown: number): string {
  const { suggestions, dropped, model } = answer;
  const others = suggestions.length - shown;
  const parts = [`${shown ? count(shown, "suggestion") : "No suggestion"} by language model ${model}, ${taken(answer)}.`];
  if (shown) parts.push("They can be wrong: check each against its turns.");
  if (others) parts.push(`${count(others, "question")} that you have answered ${others === 1 ? "keeps" : "keep"} your answer.`);
  if (dropped) parts.push(`Left out without a real turn or a possible answer: ${dropped}.`);
  return parts.join(" ");
}
