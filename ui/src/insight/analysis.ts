// <call-analysis>: what a language model found in a call; people approve, reject and edit it. Rendered by the server.

import { errorMessage, send } from "../page/http";
import { pageRefresher } from "../page/refresh";
import { localizeTimes } from "../page/times";
import { toast } from "../page/toast";

export class CallAnalysis extends HTMLElement {
  private readonly refresh = pageRefresher((page) => {
    const fresh = page.getElementById(this.id);
    if (!fresh || !this.isConnected) return;
    localizeTimes(fresh);
    const item = document.activeElement?.closest<HTMLElement>("[data-item]")?.dataset.item;
    this.replaceWith(fresh);
    if (item) fresh.querySelector<HTMLElement>(`[data-item="${CSS.escape(item)}"] button`)?.focus();
  });

  connectedCallback(): void {
    for (const form of this.querySelectorAll<HTMLElement>("form[inert]")) form.inert = false;
    document.addEventListener("analysis-changed", this.changed);
    this.addEventListener("submit", this.submitted);
  }

  disconnectedCallback(): void {
    document.removeEventListener("analysis-changed", this.changed);
  }

  private readonly changed = (): void => {
    if (!this.querySelector("details[open]")) this.refresh(); // else a text that is being written would be lost
  };

  private readonly submitted = (event: SubmitEvent): void => {
    event.preventDefault();
    const form = event.target as HTMLFormElement;
    const address = `/api/v1/calls/${this.dataset.call}/analysis`;
    const item = `${address}/items/${form.closest<HTMLElement>("[data-item]")?.dataset.item}`;
    if ("order" in form.dataset) void this.order(address);
    else if ("edit" in form.dataset) void this.change(`${item}/text`, edited(form));
    else void this.change(`${item}/state`, { state: (event.submitter as HTMLButtonElement).value });
  };

  private async order(address: string): Promise<void> {
    try {
      await send("POST", address);
      toast("Analysis ordered. The result appears here.");
    } catch (error) {
      toast(errorMessage(error));
    }
  }

  private async change(address: string, body: object): Promise<void> {
    try {
      await send("PUT", address, body);
    } catch (error) {
      return toast(errorMessage(error));
    }
    document.dispatchEvent(new CustomEvent("triage-changed")); // an approved label was given to the call
    this.refresh();
  }
}

function edited(form: HTMLFormElement): object {
  const { text, role, due } = Object.fromEntries(new FormData(form)) as Record<string, string>;
  return { text, role: role || null, due: due ?? "" };
}

customElements.define("call-analysis", CallAnalysis);
