// <call-question>: a question about the selected calls, and its answer with the turns that it came from. The selection is the
// query of the page, the same as that of the list.

import { el, required, roleNames } from "../page/dom";
import { count, duration, fragment } from "../page/format";
import { localZone } from "../page/times";
import { citedTurn, type CitedTurn } from "./cited_turn";
import { progressText } from "./progress";
import { taken, type Facts, WaitingForModel } from "./waiting";

interface Answer extends Facts {
  sentences: { text: string; turns: (CitedTurn & { call_id: string })[] }[];
  message: string | null;
  calls: { read: number; unread: number; more: boolean };
}

export class CallQuestion extends HTMLElement {
  connectedCallback(): void {
    const form = required<HTMLFormElement>(this, "form");
    const waiting = new WaitingForModel(required(form, "[type=submit]"), required(form, "[data-cancel]"), required(this, "[data-progress]"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.ask(form, waiting);
    });
  }

  private async ask(form: HTMLFormElement, waiting: WaitingForModel): Promise<void> {
    const { question, original } = Object.fromEntries(new FormData(form)) as Record<string, string>;
    const query = new URLSearchParams(location.search);
    query.set("zone", localZone());
    const shown = required(this, "[data-answer]");
    shown.hidden = true;
    const answer = await waiting.run<Answer>(`/api/v1/questions?${query}`, { question, original: Boolean(original) }, progressText);
    if (!answer) return;
    this.show(answer);
    shown.hidden = false;
    required(shown, "h2").focus();
  }

  private show(answer: Answer): void {
    const names = roleNames(this);
    const calls = new Map<string, number>();
    for (const { turns } of answer.sentences) for (const { call_id } of turns) calls.set(call_id, calls.get(call_id) ?? calls.size + 1);
    const sentences = answer.sentences.map(({ text, turns }) =>
      el(
        "div.answer",
        {},
        el("p", {}, text),
        el("ul.hits", {}, ...turns.map((turn) => citedTurn(turn, names[turn.role], `Call ${calls.get(turn.call_id)} at ${duration(turn.start_ms)}`, `/calls/${turn.call_id}${fragment(turn.start_ms)}`))),
      ),
    );
    required(this, "[data-sentences]").replaceChildren(...(answer.message ? [el("p", {}, answer.message)] : sentences));
    required(this, "[data-facts]").textContent = facts(answer);
  }
}

function facts(answer: Answer): string {
  const { calls, dropped, model } = answer;
  const parts = [`By language model ${model}, from ${count(calls.read, "call")}`];
  if (calls.unread) parts.push(`${count(calls.unread, "call")} without text that can be sent`);
  if (calls.more) parts.push("more calls match and were not read: narrow the selection");
  parts.push(taken(answer));
  const left = dropped ? ` Left out without a real turn: ${count(dropped, "sentence")}.` : "";
  return `${parts.join("; ")}. It can be wrong: check it against the turns.${left}`;
}

customElements.define("call-question", CallQuestion);
