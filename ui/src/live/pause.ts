// <recording-pause>: pauses and resumes all recordings of a live call, on the phone and on the page of the call (key P).
// A browser extension or a script of this origin does the same while a form field for secret data has the focus:
//   document.dispatchEvent(new Event("callreel-pause")), and "callreel-resume" when the field is left (docs/privacy.md).

import type { Consent } from "../consent/mark";
import type { Call, Pause } from "../page/api_types";
import { el } from "../page/dom";
import { duration } from "../page/format";
import { errorMessage, get, send } from "../page/http";
import { addShortcuts } from "../page/shortcuts";
import { toast } from "../page/toast";

/** How long a pause may take to reach the process that records. */
const CONFIRM_MS = 2000;
const CAUSES: Record<Pause["cause"], string> = { person: "", field: " for a form field", phrase: " because of a phrase that was said" };

export class RecordingPause extends HTMLElement {
  private pause: Pause | null = null;
  private busy = false;
  private inField = false;
  private late: ReturnType<typeof setTimeout> | undefined;
  // Two buttons: a click on one that became the other, because someone else paused meanwhile, would undo that.
  private readonly buttons = { pause: this.button("pause", "Pause recording"), resume: this.button("resume", "Resume recording") };
  private readonly state = el("p.muted", { role: "status", hidden: true, "data-pause-state": "" });
  private readonly alert = el("p.notice", { role: "alert", hidden: true, "data-pause-warning": "" });

  connectedCallback(): void {
    if (this.contains(this.state)) return;
    this.append(el("p.row", {}, this.buttons.pause, this.buttons.resume), this.state, this.alert);
    addShortcuts({ key: "p", label: "Pause or resume recording", run: () => void this.decide(this.pause?.paused ? "resume" : "pause"), when: () => this.isConnected && !this.hidden });
    document.addEventListener("callreel-pause", this.fieldEntered);
    document.addEventListener("callreel-resume", this.fieldLeft);
    this.draw();
    void this.load();
  }

  disconnectedCallback(): void {
    clearTimeout(this.late);
    document.removeEventListener("callreel-pause", this.fieldEntered);
    document.removeEventListener("callreel-resume", this.fieldLeft);
  }

  /** A pause of the call changed; an older one may be reported after a newer one. */
  apply(pause: Pause): void {
    if (this.pause && pause.id < this.pause.id) return;
    this.pause = pause;
    this.draw();
  }

  /** Not offered while the recording policy or the agent excludes the call, or consent is missing: there is nothing to pause. */
  applyConsent(consent: Consent | null): void {
    this.hidden = consent !== null && !consent.may_record;
    if (this.inField) this.followField(true); // the field was entered before the other party agreed
  }

  private readonly fieldEntered = () => this.followField((this.inField = true));
  private readonly fieldLeft = () => this.followField((this.inField = false));

  /** Paused while a field has the focus. A request that is under way ends first; a person's own pause stays. */
  private followField(inField: boolean): void {
    if (this.hidden) return;
    if (inField && !this.pause?.paused) void this.change("pause", "field");
    else if (!inField && this.pause?.paused && this.pause.cause === "field") void this.change("resume", "field");
  }

  private get address(): string {
    return `/api/v1/calls/${this.dataset.call}`;
  }

  private async load(): Promise<void> {
    const call = await get<Call>(this.address).catch(() => null);
    if (call) this.applyConsent(call.consent);
    const newest = call?.pauses.at(-1);
    if (newest && !this.pause) this.apply(newest);
  }

  private button(to: "pause" | "resume", text: string): HTMLButtonElement {
    return el("button.button.quiet", { type: "button", "data-act": to, onclick: () => void this.decide(to) }, text, " ", el("kbd", { "aria-hidden": "true" }, "P"));
  }

  private decide(to: "pause" | "resume"): Promise<void> {
    this.inField = false; // what a person decides holds, also while a field has the focus
    return this.change(to, "person");
  }

  private async change(to: "pause" | "resume", cause: "person" | "field"): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    this.draw();
    let done = false;
    try {
      this.apply(await send<Pause>("POST", `${this.address}/${to}`, { cause }));
      done = true;
    } catch (error) {
      toast(to === "pause" ? `The recording is not paused. ${errorMessage(error)}` : errorMessage(error));
    } finally {
      this.busy = false;
      this.draw();
    }
    if (done) this.followField(this.inField); // the field may have been left, or entered, meanwhile
  }

  private draw(): void {
    const { pause } = this;
    const paused = pause?.paused ?? false;
    this.buttons.pause.hidden = paused;
    this.buttons.resume.hidden = !paused;
    for (const button of Object.values(this.buttons)) button.disabled = this.busy;
    this.state.hidden = !paused;
    if (pause && paused) this.state.textContent = sentence(pause);
    clearTimeout(this.late);
    this.warn(pause?.warning ?? (pause && !paused && pause.ended_by === "limit" ? "The recording resumed automatically: the pause reached its maximum length." : ""));
    if (pause && paused && !pause.silent)
      this.late = setTimeout(() => this.warn(`${pause.warning ?? ""} Callreel's recorder has not confirmed the pause yet.`.trim()), CONFIRM_MS);
  }

  private warn(text: string): void {
    if (this.alert.textContent !== text) this.alert.textContent = text;
    this.alert.hidden = !text;
  }
}

/** What a paused call's page says. */
export function sentence(pause: Pause): string {
  const since = pause.start_ms === null ? "" : ` since ${duration(pause.start_ms)}`;
  const by = pause.by && pause.cause !== "phrase" ? ` by ${pause.by}` : "";
  return `Recording paused${since}${by}${CAUSES[pause.cause]}.`;
}

customElements.define("recording-pause", RecordingPause);
