// <call-triage>: the labels of a call, rendered by the server and changed here.

import { errorMessage, send } from "../page/http";
import { pageRefresher } from "../page/refresh";
import { localizeTimes } from "../page/times";
import { toast } from "../page/toast";

export class CallTriage extends HTMLElement {
  private readonly refresh = pageRefresher((page) => {
    const fresh = page.getElementById(this.id);
    if (!fresh || !this.isConnected) return;
    localizeTimes(fresh);
    const focused = this.contains(document.activeElement);
    this.replaceWith(fresh);
    if (focused) fresh.querySelector<HTMLElement>("select, button")?.focus();
  });

  connectedCallback(): void {
    for (const form of this.querySelectorAll<HTMLElement>("form[inert]")) form.inert = false;
    document.addEventListener("triage-changed", this.refresh);
    this.addEventListener("click", this.clicked);
    this.addEventListener("submit", this.submitted);
  }

  disconnectedCallback(): void {
    document.removeEventListener("triage-changed", this.refresh);
  }

  private get address(): string {
    return `/api/v1/calls/${this.dataset.call}`;
  }

  private readonly clicked = (event: Event): void => {
    const button = (event.target as Element).closest<HTMLElement>("[data-detach]");
    if (button) void this.change("DELETE", `labels/${button.dataset.detach}`);
  };

  private readonly submitted = (event: SubmitEvent): void => {
    event.preventDefault();
    const form = event.target as HTMLFormElement;
    const chosen = new FormData(form).get("label");
    if (chosen) void this.change("PUT", `labels/${String(chosen)}`);
  };

  private async change(method: "PUT" | "DELETE", path: string, body?: object): Promise<void> {
    try {
      await send(method, `${this.address}/${path}`, body);
    } catch (error) {
      toast(errorMessage(error));
    }
    this.refresh();
  }
}

customElements.define("call-triage", CallTriage);
