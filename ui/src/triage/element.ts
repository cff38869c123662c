// <call-triage>: labels of a call, whether it is reviewed, and who is assigned to it; rendered by the server and changed here.

import { errorMessage, send } from "../page/http";
import { pageRefresher } from "../page/refresh";
import { addShortcuts } from "../page/shortcuts";
import { toast } from "../page/toast";
import { markSent, updatePart } from "../page/update";

export class CallTriage extends HTMLElement {
  private readonly refresh = pageRefresher((page) => {
    const fresh = page.getElementById(this.id);
    if (fresh && this.isConnected) updatePart(this, fresh);
  });

  connectedCallback(): void {
    for (const form of this.querySelectorAll<HTMLElement>("form[inert]")) form.inert = false;
    document.addEventListener("triage-changed", this.refresh);
    this.addEventListener("click", this.clicked);
    this.addEventListener("submit", this.submitted);
    if ("reviews" in this.dataset) addShortcuts({ key: "r", label: "Mark as reviewed, or undo it", run: () => this.querySelector<HTMLElement>("[data-review]")?.click() });
  }

  disconnectedCallback(): void {
    document.removeEventListener("triage-changed", this.refresh);
  }

  private get address(): string {
    return `/api/v1/calls/${this.dataset.call}`;
  }

  private readonly clicked = (event: Event): void => {
    const button = (event.target as Element).closest<HTMLElement>("[data-detach], [data-review]");
    if (button?.dataset.detach) void this.change("DELETE", `labels/${button.dataset.detach}`);
    else if (button?.dataset.review) void this.change(button.dataset.review as "PUT" | "DELETE", "review");
  };

  private readonly submitted = (event: SubmitEvent): void => {
    event.preventDefault();
    const form = event.target as HTMLFormElement;
    const data = new FormData(form);
    markSent(form);
    const label = data.get("label");
    const person = data.get("person");
    if (label) void this.change("PUT", `labels/${String(label)}`);
    else if (person) void this.change("PUT", "assignment", { person });
    else if (person === "") void this.change("DELETE", "assignment");
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
