// <webhook-endpoints>: who receives webhooks, and what became of each delivery. For administrators. A secret is shown once.

import { el, required } from "../page/dom";
import { errorMessage, get, send } from "../page/http";
import { attempted } from "../page/toast";
import { localTime } from "../page/times";

interface Endpoint {
  id: number;
  name: string;
  url: string;
  events: string[];
  numbers: boolean;
  failing_since: string | null;
  disabled_at: string | null;
  disabled_why: string;
  previous_secret_until: string | null;
}

interface Delivery {
  id: string;
  event: string;
  call_id: string | null;
  created_at: string;
  state: string;
  attempts: number;
  failure: string;
}

const POLL_MS = 2000;
const POLLS = 15;

export class WebhookEndpoints extends HTMLElement {
  private subscribable: string[] = [];
  private shown: Endpoint | null = null;
  private polls = 0;
  private timer = 0;

  connectedCallback(): void {
    const form = required<HTMLFormElement>(this, "form[data-add]");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.add(form);
    });
    void this.load();
  }

  disconnectedCallback(): void {
    clearTimeout(this.timer);
  }

  private async load(): Promise<void> {
    const list = required(this, "[data-endpoints]");
    try {
      const { endpoints, events } = await get<{ endpoints: Endpoint[]; events: string[] }>("/api/v1/webhooks");
      this.subscribable = events;
      list.replaceChildren(...(endpoints.length ? endpoints.map((one) => this.item(one)) : [el("li.soft", {}, "No endpoints yet.")]));
    } catch (error) {
      list.replaceChildren(el("li", {}, errorMessage(error)));
    }
  }

  private async add(form: HTMLFormElement): Promise<void> {
    const data = new FormData(form);
    const body = { name: data.get("name"), url: data.get("url"), events: data.getAll("events"), numbers: data.has("numbers") };
    if (await this.change(async () => this.showSecret(await send<{ secret: string }>("POST", "/api/v1/webhooks", body)), `${String(body.name)} added`)) form.reset();
  }

  private showSecret({ secret }: { secret: string }): void {
    const notice = required(this, "[data-secret]");
    notice.replaceChildren(el("p", {}, "Copy the secret now. It will not be shown again; the receiver checks signatures with it."), el("p", {}, el("code", {}, secret)));
    notice.hidden = false;
    notice.scrollIntoView({ block: "nearest" });
  }

  private async change(request: () => Promise<unknown>, done: string): Promise<boolean> {
    const succeeded = await attempted(request, done);
    await this.load();
    return succeeded;
  }

  private item(one: Endpoint): HTMLLIElement {
    const path = `/api/v1/webhooks/${one.id}`;
    const button = (label: string, onclick: () => void) => el("button.link", { type: "button", onclick, "aria-label": `${label}: ${one.name}` }, label);
    const disabled = one.disabled_at !== null;
    const events = el("details", {}, el("summary.small", {}, `${one.events.length} of ${this.subscribable.length} events`), this.eventForm(one, path));
    return el(
      "li.endpoint",
      {},
      el("p.row", {}, el("strong", {}, one.name), el("span.badge.plain", {}, state(one))),
      el("p.small", {}, el("code", {}, one.url)),
      el("p.small.soft", {}, details(one)),
      events,
      el(
        "p.row",
        {},
        button("Deliveries", () => void this.showDeliveries(one)),
        ...(disabled ? [] : [button("Send test", () => void this.change(() => send("POST", `${path}/test`), "Test sent").then(() => this.showDeliveries(one)))]),
        button("Rotate secret", () => void this.change(async () => this.showSecret(await send<{ secret: string }>("POST", `${path}/rotate`)), "Secret replaced; webhooks are signed with both for a day")),
        button(disabled ? "Enable" : "Disable", () => void this.change(() => send("PATCH", path, { disabled: !disabled }), disabled ? `${one.name} enabled` : `${one.name} disabled`)),
        button("Remove", () => void this.removeEndpoint(one, path)),
      ),
    );
  }

  private eventForm(one: Endpoint, path: string): HTMLFormElement {
    const boxes = this.subscribable.map((event) => el("label.check", {}, el("input", { type: "checkbox", name: "events", value: event, checked: one.events.includes(event) }), ` ${event}`));
    const numbers = el("label.check", {}, el("input", { type: "checkbox", name: "numbers", checked: one.numbers }), " Send phone numbers in full");
    const form = el("form.form", {}, ...boxes, numbers, el("button.button.quiet", {}, "Save"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const data = new FormData(form);
      void this.change(() => send("PATCH", path, { events: data.getAll("events"), numbers: data.has("numbers") }), `${one.name} saved`);
    });
    return form;
  }

  private async removeEndpoint(one: Endpoint, path: string): Promise<void> {
    if (!confirm(`Remove ${one.name} and its deliveries?`)) return;
    if (await this.change(() => send("DELETE", path), `${one.name} removed`)) {
      if (this.shown?.id === one.id) this.shown = null;
      required(this, "[data-deliveries]").hidden = this.shown === null;
    }
  }

  private async showDeliveries(one: Endpoint): Promise<void> {
    this.shown = one;
    this.polls = POLLS;
    await this.loadDeliveries();
  }

  private async loadDeliveries(): Promise<void> {
    const one = this.shown;
    if (!one) return;
    clearTimeout(this.timer);
    const card = required(this, "[data-deliveries]");
    const body = required(card, "tbody");
    try {
      const { deliveries } = await get<{ deliveries: Delivery[] }>(`/api/v1/webhooks/${one.id}/deliveries`);
      const empty = el("tr", {}, el("td", { colspan: 5, class: "soft" }, "No deliveries yet."));
      body.replaceChildren(...(deliveries.length ? deliveries.map((delivery) => this.row(one, delivery)) : [empty]));
      if (deliveries.some((delivery) => delivery.state === "failed")) body.append(this.sendFailed(one));
      if (deliveries.some((delivery) => delivery.state === "pending") && this.polls-- > 0) this.timer = window.setTimeout(() => void this.loadDeliveries(), POLL_MS);
    } catch (error) {
      body.replaceChildren(el("tr", {}, el("td", { colspan: 5 }, errorMessage(error))));
    }
    required(card, "h2").textContent = `Deliveries to ${one.name}`;
    card.hidden = false;
  }

  private sendFailed(one: Endpoint): HTMLTableRowElement {
    const again = () => void this.change(() => send("POST", `/api/v1/webhooks/${one.id}/send-failed`), "Sending all failed ones again").then(() => this.showDeliveries(one));
    return el("tr", {}, el("td", { colspan: 5 }, el("button.button.quiet", { type: "button", onclick: again }, "Send all failed again")));
  }

  private row(one: Endpoint, delivery: Delivery): HTMLTableRowElement {
    const again = () => void this.change(() => send("POST", `/api/v1/webhooks/${one.id}/deliveries/${delivery.id}/send`), "Sending again").then(() => this.showDeliveries(one));
    const call = delivery.call_id ? el("a", { href: `/calls/${delivery.call_id}` }, "call") : "";
    return el(
      "tr",
      {},
      el("td", {}, localTime(delivery.created_at)),
      el("td", {}, delivery.event, " ", call),
      el("td.wraps", {}, delivery.failure ? `${delivery.state}: ${delivery.failure}` : delivery.state),
      el("td", {}, String(delivery.attempts)),
      el("td", {}, el("button.link", { type: "button", onclick: again, "aria-label": `Send again: ${delivery.event}, ${delivery.id}` }, "Send again")),
    );
  }
}

function state(one: Endpoint): string {
  if (one.disabled_at) return "disabled";
  return one.failing_since ? "failing" : "enabled";
}

function details(one: Endpoint): string {
  const parts = [one.numbers ? "phone numbers in full" : "phone numbers masked"];
  if (one.disabled_at) parts.push(`disabled ${one.disabled_why}`);
  else if (one.failing_since) parts.push(`failing since ${localTime(one.failing_since)}`);
  if (one.previous_secret_until && new Date(one.previous_secret_until) > new Date()) parts.push(`signed with two secrets until ${localTime(one.previous_secret_until)}`);
  return parts.join(" · ");
}

customElements.define("webhook-endpoints", WebhookEndpoints);
