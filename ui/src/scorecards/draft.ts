// The form of one's own draft. It saves itself; while the server cannot be reached it keeps what was typed and tries again.

import { el } from "../page/dom";
import { sentence } from "../page/format";
import { ApiError, errorMessage, get, send } from "../page/http";
import type { Role } from "../page/api_types";
import { AnswerFields } from "./answer_fields";
import { Suggestions } from "./suggestions";
import { answerOf, written, type Answer, type Review } from "./types";

const SAVE_AFTER_MS = 800;
const RETRY_MS = 2000;

export class DraftForm {
  readonly element: HTMLFormElement;
  private readonly fields: AnswerFields[];
  private readonly status = el("p.small.soft", { role: "status" }, "Draft: only you see it.");
  private revision: number;
  /** The answers of the requests since the last response: one of them may have been saved although its response was lost. */
  private readonly sent = new Set<string>();
  private unsaved = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  /** The request under way: the next one needs the revision that it returns. */
  private saving: Promise<void> = Promise.resolve();
  private readonly gone = new AbortController();

  private readonly suggestions: Suggestions | null;

  /** `address` is that of the review; `done` is called when it is finished or discarded, and closes the form. With `names`, those of the parties, a language model can be asked for suggestions. */
  constructor(
    private readonly address: string,
    review: Review,
    private readonly done: () => void,
    names: Record<Role, string> | null,
  ) {
    this.revision = review.revision;
    const changed = () => this.changed();
    this.fields = review.questions.map((question, at) => new AnswerFields(question, answerOf(review, question), at + 1, { group: `draft-${review.id}`, remarks: true, changed }));
    this.suggestions = names && new Suggestions(`${address}/suggestions`, this.fields, names);
    this.element = el(
      "form.score-form",
      { "aria-label": `Your review: ${review.name}` },
      el("h3", {}, `Your review: ${review.name}`, el("span.soft.small", {}, ` version ${review.version}`)),
      this.suggestions?.element,
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
    this.suggestions?.close();
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
        await this.put("PUT", this.address);
        if (!this.unsaved) this.status.textContent = "Draft saved: only you see it.";
      } catch (error) {
        if (this.gone.signal.aborted) return;
        this.unsaved = true;
        const retried = unavailable(error);
        this.status.textContent = `Not saved: ${sentence(errorMessage(error))}${retried ? " Trying again; what you typed is kept on this page." : ""}`;
        if (retried) this.schedule(RETRY_MS);
      }
    });
    return this.saving;
  }

  /** Send the draft. If the server has a newer revision, but with answers that this page sent, it is saved over that one. */
  private async put(method: "PUT" | "POST", address: string): Promise<void> {
    const request = () => {
      this.sent.add(written(this.body.answers));
      return send<Review>(method, address, this.body);
    };
    const saved = await request().catch(async (error: unknown) => {
      if (!conflict(error) || !(await this.adopt())) throw error;
      return request();
    });
    this.sent.clear();
    this.revision = saved.revision;
  }

  /** Take over the revision of the server's draft, if its answers came from this page. If they are finished, so is the form. */
  private async adopt(): Promise<boolean> {
    const list = this.address.slice(0, this.address.lastIndexOf("/"));
    const { reviews } = await get<{ reviews: Review[] }>(list);
    const review = reviews.find((one) => `${list}/${one.id}` === this.address);
    if (!review || !this.sent.has(written(review.answers))) return false;
    if (review.state !== "draft" && written(review.answers) === written(this.body.answers)) this.done();
    if (review.state !== "draft" || review.revision === this.revision) return false;
    this.revision = review.revision;
    return true;
  }

  private get body(): { revision: number; answers: Answer[] } {
    return { revision: this.revision, answers: this.fields.map((one) => one.answer) };
  }

  private async finish(): Promise<void> {
    clearTimeout(this.timer);
    await this.saving;
    await this.last(() => this.put("POST", `${this.address}/finish`));
  }

  private async discard(): Promise<void> {
    if (!confirm("Discard this draft?")) return;
    clearTimeout(this.timer);
    await this.saving;
    await this.last(() => send("DELETE", this.address).catch((error: unknown) => {
      if (!(error instanceof ApiError && error.status === 404)) throw error; // else the response to an earlier try was lost
    }));
  }

  private async last(request: () => Promise<unknown>): Promise<void> {
    try {
      await request();
    } catch (error) {
      this.status.textContent = sentence(errorMessage(error));
      if (this.unsaved) this.schedule(SAVE_AFTER_MS);
      return;
    }
    this.done();
  }
}

function conflict(error: unknown): boolean {
  return error instanceof ApiError && error.status === 409;
}

function unavailable(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 0 || error.status >= 500);
}
