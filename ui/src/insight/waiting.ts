// One answer of a language model that a person waits for: its progress, and a button that cancels it.

import { errorMessage, sendAndFollow } from "../page/http";
import type { Progress } from "./progress";

/** Attributes that a model's answer has, whatever was asked. */
export interface Facts {
  dropped: number;
  model: string;
  duration_ms: number;
  cost: string | null;
  currency: string | null;
}

export class WaitingForModel {
  private running: AbortController | null = null;

  /** `start` is the button that orders the answer, `cancel` is shown while it is awaited. */
  constructor(
    private readonly start: HTMLButtonElement,
    private readonly cancel: HTMLButtonElement,
    private readonly status: HTMLElement,
  ) {
    cancel.addEventListener("click", () => this.abort());
    window.addEventListener("pagehide", () => this.abort());
  }

  abort(): void {
    this.running?.abort();
  }

  /** The answer, or null if there is none: then the status says why. */
  async run<T extends Facts>(address: string, body: unknown, words: (progress: Progress) => string): Promise<T | null> {
    const running = (this.running = new AbortController());
    this.show(true);
    this.status.textContent = "Waiting for the language model…";
    this.cancel.focus();
    try {
      const answer = await sendAndFollow<T, Progress>(address, body, (progress) => (this.status.textContent = words(progress)), running.signal);
      this.status.textContent = "";
      return answer;
    } catch (error) {
      this.status.textContent = running.signal.aborted ? "Cancelled. No further text is sent to the language model." : errorMessage(error);
      return null;
    } finally {
      this.show(false);
    }
  }

  private show(running: boolean): void {
    this.cancel.hidden = !running;
    this.start.disabled = running;
  }
}

/** `9.3 s; cost: 0.0021 USD`: what an answer took. */
export function taken({ duration_ms, cost, currency }: Facts): string {
  return `${(duration_ms / 1000).toFixed(1)} s${cost === null ? "" : `; cost: ${Number(cost).toFixed(4)} ${currency}`}`;
}
