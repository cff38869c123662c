// <call-analysis>: what a language model found in a call; people approve, reject and edit it. Rendered by the server.

import { errorMessage, send } from "../page/http";
import { pageRefresher } from "../page/refresh";
import { toast } from "../page/toast";
import { markSent, updatePart } from "../page/update";

export class CallAnalysis extends HTMLElement {
  private readonly refresh = pageRefresher((page) => {
    const fresh = page.getElementById(this.id);
    if (fresh && this.isConnected) updatePart(this, fresh);
  });

  connectedCallback(): void {
    for (const form of this.querySelectorAll<HTMLElement>("form[inert]")) form.inert = false;
    document.addEventListener("analysis-changed", this.refresh);
    this.addEventListener("submit", this.submitted);
  }

  disconnectedCallback(): void {
    document.removeEventListener("analysis-changed", this.refresh);
  }

  private readonly submitted = (event: SubmitEvent): void => {
    event.preventDefault();
    const form = event.target as HTMLFormElement;
    const address = `/api/v1/calls/${this.dataset.call}/analysis`;
    const item = `${address}/items/${form.closest<HTMLElement>("[data-item]")?.dataset.item}`;
    if ("order" in form.dataset) void this.order(address);
    else if ("edit" in form.dataset) void this.change(`${item}/text`, edited(form), form);
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

  private async change(address: string, body: object, form?: HTMLElement): Promise<void> {
    if (form) markSent(form);
    try {
      await send("PUT", address, body);
    } catch (error) {
      if (form) markSent(form, false);
      return toast(errorMessage(error));
    }
    form?.closest("details")?.removeAttribute("open"); // its text is saved
    document.dispatchEvent(new CustomEvent("triage-changed")); // an approved label was given to the call
    this.refresh();
  }
}

function edited(form: HTMLFormElement): object {
  const { text, role, due, sentiment } = Object.fromEntries(new FormData(form)) as Record<string, string>;
  return { text, role: role || null, due: due ?? "", sentiment: sentiment ?? null };
}

customElements.define("call-analysis", CallAnalysis);
