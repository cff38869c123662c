// <erase-progress>: updates the page of an erasure until it is complete. Without JavaScript the page reloads itself.

import { fetchPage } from "../page/refresh";
import { updatePart } from "../page/update";

const POLL_MS = 1000;

export class EraseProgress extends HTMLElement {
  private timer: number | undefined;

  connectedCallback(): void {
    this.schedule();
  }

  disconnectedCallback(): void {
    clearTimeout(this.timer);
  }

  private schedule(): void {
    if (!this.hasAttribute("data-done")) this.timer = window.setTimeout(() => void this.update(), POLL_MS);
  }

  private async update(): Promise<void> {
    const page = await fetchPage(location.href).catch(() => null);
    const fresh = page?.querySelector("erase-progress");
    if (fresh?.hasAttribute("data-done")) location.replace(location.href);
    else if (fresh) updatePart(this, fresh);
    this.schedule();
  }
}

customElements.define("erase-progress", EraseProgress);
