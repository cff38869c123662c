// <call-scorecards>: the reviews of a call. Supervisors review it, compare reviews and resolve disputes; its agent disputes.

import { el, required, roleNames } from "../page/dom";
import { errorMessage, get, send } from "../page/http";
import { arrange, keepFocus } from "../page/update";
import { attempted } from "../page/toast";
import { AnswerFields, momentLink } from "./answer_fields";
import { DraftForm } from "./draft";
import { answerOf, answerText, scoreText, type Comparison, type Review, type Scorecard } from "./types";

export class CallScorecards extends HTMLElement {
  /** By the id of the review. A form that is open stays, with what was typed in it, when the rest is drawn again. */
  private readonly drafts = new Map<number, DraftForm>();
  /** Forms for a dispute or its resolution, by the review's id and state: what was typed in one stays when another is sent. */
  private readonly forms = new Map<string, HTMLElement>();
  /** The ids of the disputed reviews that this person may resolve. */
  private resolvable: readonly number[] = [];
  /** Counts the requests for the reviews, so that a response that was overtaken is recognized. */
  private version = 0;
  private readonly refresh = () => void this.load();

  connectedCallback(): void {
    if (this.dataset.live !== undefined) return;
    document.addEventListener("reviews-changed", this.refresh);
    void this.load();
  }

  disconnectedCallback(): void {
    document.removeEventListener("reviews-changed", this.refresh);
    for (const draft of this.drafts.values()) draft.close();
  }

  private get address(): string {
    return `/api/v1/calls/${this.dataset.call}/scorecards`;
  }

  private get reviewer(): boolean {
    return this.dataset.reviews !== undefined;
  }

  private async load(): Promise<void> {
    const body = required(this, "[data-body]");
    const version = ++this.version;
    try {
      const [{ reviews, comparisons = [], resolvable = [] }, cards] = await Promise.all([
        get<{ reviews: Review[]; comparisons?: Comparison[]; resolvable?: number[] }>(this.address),
        this.reviewer ? get<{ scorecards: Scorecard[] }>("/api/v1/scorecards").then((answer) => answer.scorecards) : [],
      ]);
      if (version !== this.version) return;
      this.resolvable = resolvable;
      const open = reviews.filter((review) => review.state === "draft").map((review) => this.draft(review));
      for (const [id, draft] of this.drafts) if (!open.includes(draft)) this.leave(id, draft); // finished on another page, or the response was lost
      const finished = reviews.filter((review) => review.state !== "draft");
      keepFocus(() => arrange(body, [
        ...finished.map((review) => this.finished(review)),
        ...comparisons.map(comparisonTable),
        ...open.map((draft) => draft.element),
        ...(this.reviewer ? [this.startForm(reviews, cards)] : []),
      ]));
      this.hidden = !this.reviewer && !finished.length;
    } catch (error) {
      if (version !== this.version) return;
      if (this.reviewer) this.hidden = false;
      body.replaceChildren(el("p", {}, errorMessage(error)), el("p", {}, el("button.button.quiet", { type: "button", onclick: () => void this.load() }, "Try again")));
    }
  }

  /** Send a change; then show what the server has, unless it failed: then what was typed stays. */
  private async change(request: () => Promise<unknown>, done: string): Promise<void> {
    if (await attempted(request, done)) await this.load();
  }

  private draft(review: Review): DraftForm {
    const done = () => {
      this.leave(review.id, form);
      void this.load();
    };
    const form = this.drafts.get(review.id) ?? new DraftForm(`${this.address}/${review.id}`, review, done, this.dataset.model === undefined ? null : roleNames(this));
    this.drafts.set(review.id, form);
    return form;
  }

  private leave(id: number, draft: DraftForm): void {
    draft.close();
    this.drafts.delete(id);
  }

  private startForm(reviews: Review[], cards: Scorecard[]): HTMLElement {
    const mine = reviews.filter((review) => review.reviewer === this.dataset.me).map((review) => review.scorecard_id);
    const free = cards.filter((card) => !card.retired && !mine.includes(card.id));
    if (!cards.length) return el("p.small", {}, el("a", { href: "/scorecards" }, "Create a scorecard"), " to review calls.");
    if (!free.length) return el("p.small.soft", {}, "You have used every scorecard for this call.");
    const choice = el("select", { "aria-label": "Scorecard" }, ...free.map((card) => el("option", { value: card.id }, card.name)));
    const form = el("form.inline", {}, choice, el("button.button.quiet", {}, "Start review"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.change(() => send("POST", this.address, { scorecard_id: Number(choice.value) }), "Review started");
    });
    return form;
  }

  private finished(review: Review): HTMLElement {
    const before = review.score_before && el("span.soft.small", {}, ` before: ${scoreText(review.score_before.percent)}`);
    return el(
      "details",
      { open: review.state === "disputed" || this.querySelector(`details[data-review="${review.id}"][open]`) !== null, "data-review": review.id },
      el("summary", {}, el("strong.figure", {}, scoreText(review.score.percent)), ` ${review.name}, by ${review.reviewer}`, ...(review.state === "finished" ? [] : [" ", el("span.badge.plain", {}, review.state)])),
      el("p.small.soft", {}, `Version ${review.version}. ${review.score.reached} of ${review.score.possible} points${review.score.failed.length ? "; a critical question failed" : ""}.`, before),
      el("ol.score-answers", {}, ...review.questions.map((question) => {
        const answer = answerOf(review, question);
        return el(
          "li",
          {},
          el("span", {}, question.text, question.critical && el("span.soft.small", {}, " critical")),
          question.kind !== "text" && el("strong", { class: review.score.failed.includes(question.key) ? "failed" : "" }, ` ${answerText(answer, question)}`),
          answer.text && el("p.small", {}, answer.text),
          answer.moments_ms.length > 0 && el("p.small.row", {}, ...answer.moments_ms.map(momentLink)),
        );
      })),
      review.dispute && el("p.notice", {}, el("strong", {}, `Disputed by ${review.dispute.by}: `), review.dispute.reason),
      review.resolution && el("p.notice", {}, el("strong", {}, `${review.state === "upheld" ? "Upheld" : "Changed"} by ${review.resolution.by}: `), review.resolution.text),
      review.state === "finished" && this.dataset.own !== undefined && this.kept(review, () => this.disputeForm(review)),
      this.resolvable.includes(review.id) && this.kept(review, () => this.resolveForm(review)),
      review.state === "disputed" && review.reviewer === this.dataset.me && !this.resolvable.includes(review.id) && el("p.small.soft", {}, "Another supervisor resolves this dispute."),
    );
  }

  private kept(review: Review, make: () => HTMLElement): HTMLElement {
    const key = `${review.id} ${review.state}`;
    const form = this.forms.get(key) ?? make();
    this.forms.set(key, form);
    return form;
  }

  private disputeForm(review: Review): HTMLElement {
    const reason = el("textarea", { rows: 3, required: true, maxlength: 2000 });
    const form = el("form.score-form", {}, el("label", {}, el("span.small", {}, "Reason for the dispute"), reason), el("p", {}, el("button.button.quiet", {}, "Dispute this review")));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.change(() => send("POST", `${this.address}/${review.id}/dispute`, { reason: reason.value }), "Dispute sent");
    });
    return form;
  }

  private resolveForm(review: Review): HTMLElement {
    const text = el("textarea", { rows: 3, maxlength: 2000 });
    const fields = review.questions
      .filter((question) => question.kind !== "text")
      .map((question) => new AnswerFields(question, answerOf(review, question), review.questions.indexOf(question) + 1, { group: `resolve-${review.id}`, remarks: false, changed: () => undefined }));
    const points = () => fields.map(({ answer: { question, points, not_applicable } }) => ({ question, points, not_applicable }));
    const form = el(
      "form.score-form",
      { "aria-label": "Resolve the dispute" },
      el("label", {}, el("span.small", {}, "Explanation for the agent"), text),
      el("p", {}, el("button.button.quiet", { value: "uphold" }, "Uphold the review")),
      el("details", {}, el("summary", {}, "Change points"), ...fields.map((one) => one.element), el("p", {}, el("button.button.quiet", { value: "change" }, "Save changed points"))),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const changes = (event.submitter as HTMLButtonElement | null)?.value === "change";
      void this.change(() => send("POST", `${this.address}/${review.id}/resolve`, { text: text.value, answers: changes ? points() : null }), changes ? "Review changed" : "Review upheld");
    });
    return form;
  }
}

function comparisonTable(one: Comparison): HTMLElement {
  const caption = `${one.name}, version ${one.version}: ${one.agreement_percent.toFixed(1)} % agreement`;
  return el(
    "div.wide-table",
    { tabindex: 0, role: "region", "aria-label": `Comparison of reviews: ${one.name}` },
    el(
      "table.bill.comparison",
      {},
      el("caption", {}, caption),
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Question"), ...one.reviewers.map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, ...one.questions.map((row) => el("tr", { class: row.same ? "" : "differs" }, el("th", { scope: "row" }, row.text, " ", !row.same && el("span.badge.suspect.plain", {}, row.spread ? `differs by ${row.spread}` : "differs")), ...row.answers.map((answer) => el("td", {}, answer.not_applicable ? "n/a" : String(answer.points ?? "–")))))),
      el("tfoot", {}, el("tr", {}, el("th", { scope: "row" }, "Score"), ...one.scores.map((score) => el("td", {}, scoreText(score))))),
    ),
  );
}

customElements.define("call-scorecards", CallScorecards);
