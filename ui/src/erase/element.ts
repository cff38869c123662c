// <erase-progress>: the page of an erasure follows it until it is done, and then says so. Without script the page loads itself again.

import { pageAt } from "../page/refresh";
import { localTimes } from "../page/times";

const LOOK_MS = 1000;

export class EraseProgress extends HTMLElement {
  private timer: number | undefined;

  connectedCallback(): void {
    this.again();
  }

  disconnectedCallback(): void {
    clearTimeout(this.timer);
  }

  private again(): void {
    if (!this.hasAttribute("data-done")) this.timer = window.setTimeout(() => void this.look(), LOOK_MS);
  }

  private async look(): Promise<void> {
    const page = await pageAt(location.href).catch(() => null);
    const fresh = page?.querySelector("erase-progress");
    // Who is about to choose how it goes on is not disturbed.
    if (fresh?.hasAttribute("data-done")) location.replace(location.href);
    else if (fresh && !this.contains(document.activeElement)) {
      localTimes(fresh);
      this.replaceChildren(...fresh.childNodes);
    }
    this.again();
  }
}

customElements.define("erase-progress", EraseProgress);
