// <erase-progress>: updates the page of an erasure until it is complete. Without JavaScript the page reloads itself.

import { fetchPage } from "../page/refresh";
import { localizeTimes } from "../page/times";

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
    // The form stays in place while a person uses it.
    if (fresh?.hasAttribute("data-done")) location.replace(location.href);
    else if (fresh && !this.contains(document.activeElement)) {
      localizeTimes(fresh);
      this.replaceChildren(...fresh.childNodes);
    }
    this.schedule();
  }
}

customElements.define("erase-progress", EraseProgress);
