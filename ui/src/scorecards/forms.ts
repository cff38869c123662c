// <score-cards>: the forms that calls are reviewed with. Saving an edited one makes its next version.

import { el, required } from "../page/dom";
import { count } from "../page/format";
import { errorMessage, get, send } from "../page/http";
import { attempted } from "../page/toast";
import type { Kind, Question, Scorecard } from "./types";

const ADDRESS = "/api/v1/scorecards";
const KINDS: Record<Kind, string> = { yes_no: "yes or no", scale: "scale", text: "text" };
const NEW: Question = { key: 0, text: "", kind: "yes_no", points: 5, critical: false };

export class ScoreCards extends HTMLElement {
  /** The scorecard in the form; null for a new one. */
  private edited: Scorecard | null = null;

  connectedCallback(): void {
    required(this, "[data-more]").addEventListener("click", () => this.addQuestion(NEW, true));
    required(this, "[data-cancel]").addEventListener("click", () => this.edit(null));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.save();
    });
    this.edit(null);
    void this.load();
  }

  private get form(): HTMLFormElement {
    return required<HTMLFormElement>(this, "form[data-add]");
  }

  private get questions(): HTMLElement {
    return required(this, "[data-questions]");
  }

  private get spans(): Record<Kind, [number, number]> {
    return JSON.parse(this.dataset.points ?? "") as Record<Kind, [number, number]>;
  }

  private edit(card: Scorecard | null): void {
    this.edited = card;
    const name = required<HTMLInputElement>(this.form, "[name=name]");
    name.value = card?.name ?? "";
    this.questions.replaceChildren();
    for (const question of card?.questions ?? [NEW]) this.addQuestion(question, false);
    required(this, "[data-form-title]").textContent = card ? `Edit ${card.name}: version ${card.version + 1}` : "Add a scorecard";
    required(this, "[type=submit]").textContent = card ? "Save as next version" : "Add scorecard";
    required(this, "[data-cancel]").hidden = !card;
    if (card) name.focus();
  }

  private addQuestion(question: Question, focus: boolean): void {
    const text = el("input", { name: "text", required: true, maxlength: this.dataset.longest, value: question.text, autocomplete: "off" });
    const kind = el("select", { name: "kind" }, ...Object.entries(KINDS).map(([value, label]) => el("option", { value, selected: value === question.kind }, label)));
    const points = el("input", { name: "points", type: "number", required: true, value: question.points });
    const critical = el("input", { name: "critical", type: "checkbox" });
    critical.checked = question.critical;
    const pointsLabel = el("label", {}, "Points", points);
    const criticalLabel = el("label.check", {}, critical, "Critical");
    const button = (label: string, onclick: () => void) => el("button.link", { type: "button", onclick }, label);
    const item = el(
      "li",
      { "data-key": question.key },
      el("fieldset", {}, el("legend.visually-hidden"), el("label", {}, "Question", text), el("div.row", {}, el("label", {}, "Answer", kind), pointsLabel, criticalLabel),
        el("p.row", {}, button("Move up", () => this.move(item, -1)), button("Move down", () => this.move(item, 1)), button("Remove", () => this.removeQuestion(item)))),
    );
    const fit = () => {
      const [fewest, most] = this.spans[kind.value as Kind];
      points.min = String(fewest);
      points.max = String(most);
      points.value = String(Math.min(most, Math.max(fewest, Number(points.value))));
      pointsLabel.hidden = most === 0;
      criticalLabel.hidden = kind.value !== "yes_no";
      if (criticalLabel.hidden) critical.checked = false;
    };
    kind.addEventListener("change", fit);
    fit();
    this.questions.append(item);
    this.number();
    if (focus) text.focus();
  }

  private removeQuestion(item: HTMLElement): void {
    const next = item.nextElementSibling ?? item.previousElementSibling;
    item.remove();
    this.number();
    (next?.querySelector<HTMLElement>("[name=text]") ?? required(this, "[data-more]")).focus();
  }

  private move(item: HTMLElement, by: 1 | -1): void {
    const other = by < 0 ? item.previousElementSibling : item.nextElementSibling;
    const focused = document.activeElement as HTMLElement | null;
    if (by < 0) other?.before(item);
    else other?.after(item);
    this.number();
    focused?.focus();
  }

  /** Name each question by its place, and disable what would go beyond the limits. */
  private number(): void {
    const items = [...this.questions.children];
    items.forEach((item, at) => {
      required(item, "legend").textContent = `Question ${at + 1}`;
      for (const button of item.querySelectorAll("button")) button.setAttribute("aria-label", `${button.textContent}: question ${at + 1}`);
    });
    required<HTMLButtonElement>(this, "[data-more]").disabled = items.length >= Number(this.dataset.most);
  }

  private async load(): Promise<void> {
    const list = required(this, "[data-cards]");
    try {
      const { scorecards } = await get<{ scorecards: Scorecard[] }>(ADDRESS);
      list.replaceChildren(...(scorecards.length ? scorecards.map((card) => this.item(card)) : [el("li.soft", {}, "No scorecards yet.")]));
    } catch (error) {
      list.replaceChildren(el("li", {}, errorMessage(error)));
    }
  }

  private async save(): Promise<void> {
    const name = required<HTMLInputElement>(this.form, "[name=name]").value;
    const questions = [...this.questions.children].map((item) => ({
      key: Number((item as HTMLElement).dataset.key),
      text: required<HTMLInputElement>(item, "[name=text]").value,
      kind: required<HTMLSelectElement>(item, "[name=kind]").value,
      points: Number(required<HTMLInputElement>(item, "[name=points]").value),
      critical: required<HTMLInputElement>(item, "[name=critical]").checked,
    }));
    const { edited } = this;
    const saved = edited
      ? attempted(() => send("POST", `${ADDRESS}/${edited.id}/versions`, { name, questions, base: edited.version }), `${name} has a new version`)
      : attempted(() => send("POST", ADDRESS, { name, questions }), `${name} added`);
    if (!(await saved)) return; // what was typed stays in the form
    this.edit(null);
    await this.load();
  }

  private async retire(card: Scorecard): Promise<void> {
    await attempted(() => send("PATCH", `${ADDRESS}/${card.id}`, { retired: !card.retired }), card.retired ? `${card.name} is used again` : `${card.name} retired`);
    await this.load();
  }

  private item(card: Scorecard): HTMLLIElement {
    const button = (label: string, onclick: () => void) => el("button.link", { type: "button", onclick, "aria-label": `${label}: ${card.name}` }, label);
    const possible = card.questions.reduce((sum, question) => sum + question.points, 0);
    return el(
      "li.endpoint",
      {},
      el("p.row", {}, el("strong", {}, card.name), el("span.badge.plain", {}, card.retired ? "retired" : `version ${card.version}`)),
      el("details", {}, el("summary.small", {}, `${count(card.questions.length, "question")}, ${count(possible, "point")}`), el("ol.reasons", {}, ...card.questions.map(shown))),
      el("p.row", {}, !card.retired && button("Edit", () => this.edit(card)), button(card.retired ? "Use again" : "Retire", () => void this.retire(card))),
    );
  }
}

function shown(question: Question): HTMLLIElement {
  const facts = [KINDS[question.kind], question.points && count(question.points, "point"), question.critical && "critical"].filter(Boolean);
  return el("li", {}, question.text, " ", el("span.soft", {}, facts.join(", ")));
}

customElements.define("score-cards", ScoreCards);
