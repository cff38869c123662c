// The form of one's own draft. It saves itself; while the server cannot be reached it keeps what was typed and tries again.

import { el } from "../page/dom";
import { sentence } from "../page/format";
import { ApiError, errorMessage, send } from "../page/http";
import { AnswerFields } from "./answer_fields";
import { answerOf, type Answer, type Review } from "./types";

const SAVE_AFTER_MS = 800;
const RETRY_MS = 2000;

export class DraftForm {
  readonly element: HTMLFormElement;
  private readonly fields: AnswerFields[];
  private readonly status = el("p.small.soft", { role: "status" }, "Draft: only you see it.");
  private revision: number;
  private unsaved = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  /** The request under way: the next one needs the revision that it returns. */
  private saving: Promise<void> = Promise.resolve();
  private readonly gone = new AbortController();

  /** `address` is that of the review; `done` is called when it is finished or discarded. */
  constructor(
    private readonly address: string,
    review: Review,
    private readonly done: () => void,
  ) {
    this.revision = review.revision;
    const changed = () => this.changed();
    this.fields = review.questions.map((question, at) => new AnswerFields(question, answerOf(review, question), at + 1, { group: `draft-${review.id}`, remarks: true, changed }));
    this.element = el(
      "form.score-form",
      { "aria-label": `Your review: ${review.name}` },
      el("h3", {}, `Your review: ${review.name}`, el("span.soft.small", {}, ` version ${review.version}`)),
      ...this.fields.map((one) => one.element),
      this.status,
      el("p.row", {}, el("button.button", {}, "Finish review"), el("button.link", { type: "button", onclick: () => void this.discard() }, "Discard draft")),
    );
    this.element.addEventListener("input", changed);
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.finish();
    });
    window.addEventListener("beforeunload", (event) => this.unsaved && event.preventDefault(), { signal: this.gone.signal });
  }

  /** Stop saving and warning: the form has left the page. */
  close(): void {
    clearTimeout(this.timer);
    this.gone.abort();
  }

  private changed(): void {
    this.unsaved = true;
    this.schedule(SAVE_AFTER_MS);
  }

  private schedule(afterMs: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.save(), afterMs);
  }

  private save(): Promise<void> {
    this.saving = this.saving.then(async () => {
      if (!this.unsaved) return;
      this.unsaved = false; // what is typed from here on sets it again
      try {
        const saved = await send<Review>("PUT", this.address, this.body);
        this.revision = saved.revision;
        if (!this.unsaved) this.status.textContent = "Draft saved: only you see it.";
      } catch (error) {
        this.unsaved = true;
        const retried = unavailable(error);
        this.status.textContent = `Not saved: ${sentence(errorMessage(error))}${retried ? " Trying again; what you typed is kept on this page." : ""}`;
        if (retried && !this.gone.signal.aborted) this.schedule(RETRY_MS);
      }
    });
    return this.saving;
  }

  private get body(): { revision: number; answers: Answer[] } {
    return { revision: this.revision, answers: this.fields.map((one) => one.answer) };
  }

  private async finish(): Promise<void> {
    clearTimeout(this.timer);
    await this.saving;
    await this.last(() => send("POST", `${this.address}/finish`, this.body));
  }

  private async discard(): Promise<void> {
    if (!confirm("Discard this draft?")) return;
    clearTimeout(this.timer);
    await this.saving;
    await this.last(() => send("DELETE", this.address));
  }

  private async last(request: () => Promise<unknown>): Promise<void> {
    try {
      await request();
    } catch (error) {
      this.status.textContent = sentence(errorMessage(error));
      if (this.unsaved) this.schedule(SAVE_AFTER_MS);
      return;
    }
    this.unsaved = false;
    this.close();
    this.done();
  }
}

function unavailable(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 0 || error.status >= 500);
}
