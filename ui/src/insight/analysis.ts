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
    const focused = document.activeElement as HTMLElement | null;
    const item = focused?.closest<HTMLElement>("[data-item]")?.dataset.item;
    keepOpenForms(this, fresh);
    this.replaceWith(fresh);
    if (focused && fresh.contains(focused)) focused.focus();
    else if (item) fresh.querySelector<HTMLElement>(`[data-item="${CSS.escape(item)}"] button`)?.focus();
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
    try {
      await send("PUT", address, body);
    } catch (error) {
      return toast(errorMessage(error));
    }
    form?.closest("details")?.removeAttribute("open"); // its text is saved
    document.dispatchEvent(new CustomEvent("triage-changed")); // an approved label was given to the call
    this.refresh();
  }
}

/** Move forms that are open to what the server renders now, with the text in them, even if a later analysis has no such item. */
function keepOpenForms(shown: HTMLElement, fresh: HTMLElement): void {
  for (const open of shown.querySelectorAll<HTMLElement>("details[open]")) {
    const same = fresh.querySelector(`#${CSS.escape(open.id)}`);
    if (same) same.replaceWith(open);
    else (fresh.querySelector("ul") ?? fresh).append(open.closest("[data-item]") ?? open);
  }
}

function edited(form: HTMLFormElement): object {
  const { text, role, due } = Object.fromEntries(new FormData(form)) as Record<string, string>;
  return { text, role: role || null, due: due ?? "" };
}

customElements.define("call-analysis", CallAnalysis);
