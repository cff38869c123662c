// <call-list>: the list of calls follows what happens, is searched and filtered, and keeps its state in the address.
// Unfiltered it is what the server draws, fetched again when something changes; filtered it is drawn here from the API.

import { el, need } from "../page/dom";
import { count } from "../page/format";
import { get, words } from "../page/http";
import { gathered, refresher } from "../page/refresh";
import type { ListedCall } from "../page/scheme";
import { shortcuts } from "../page/shortcuts";
import { listen } from "../page/sse";
import { localTimes, localZone } from "../page/times";
import { filtersOf, isFiltered, minutesOf, queryOf, secondsOf, type Filters } from "./filters";
import { callRow } from "./rows";

const TYPING_MS = 250;
const PAGE = 50;

interface Answer {
  calls: ListedCall[];
  next_before: string | null;
}

export class CallList extends HTMLElement {
  private asking: AbortController | null = null;
  private readonly refresh = refresher((page) => this.take(page));

  connectedCallback(): void {
    const form = this.form;
    form.hidden = false;
    const asked = filtersOf(location.search);
    this.fill(asked);
    const typed = gathered(() => this.changed(false), TYPING_MS);
    form.addEventListener("input", typed);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.changed(true);
    });
    need(this, "[data-clear]").addEventListener("click", () => {
      this.fill({});
      this.changed(true);
    });
    window.addEventListener("popstate", () => {
      this.fill(filtersOf(location.search));
      void this.show();
    });
    if (isFiltered(asked)) void this.show();
    const again = gathered(() => (isFiltered(this.filters()) ? this.show() : this.refresh()));
    listen(this.dataset.events ?? "/events?kinds=call,verdict", { call: again, verdict: again });
    this.keys();
  }

  private get form(): HTMLFormElement {
    return need<HTMLFormElement>(this, "form[data-filters]");
  }

  private get rows(): HTMLElement {
    return need(this, "#calls");
  }

  private filters(): Filters {
    const data = new FormData(this.form);
    const found: Record<string, string> = {};
    for (const [name, value] of data) found[name] = String(value);
    found.min_s = secondsOf(found.min_m ?? "");
    found.max_s = secondsOf(found.max_m ?? "");
    return filtersOf(new URLSearchParams(found).toString());
  }

  private fill(filters: Filters): void {
    const values: Record<string, string | undefined> = { ...filters, min_m: minutesOf(filters.min_s), max_m: minutesOf(filters.max_s) };
    for (const field of this.form.elements) {
      if (field instanceof HTMLInputElement && field.type === "checkbox") field.checked = Boolean(values[field.name]);
      else if (field instanceof HTMLInputElement || field instanceof HTMLSelectElement) field.value = values[field.name] ?? "";
    }
    const { q, ...others } = filters;
    if (isFiltered(others)) need<HTMLDetailsElement>(this, "details").open = true;
    // What the form cannot hold, such as another agent's name where one sees the own calls only, is no filter here.
    const held = queryOf(this.filters());
    if (held !== queryOf(filters)) history.replaceState(null, "", `/${held}`);
  }

  private changed(lasting: boolean): void {
    const address = `/${queryOf(this.filters())}`;
    if (address === location.pathname + location.search) return;
    history[lasting ? "pushState" : "replaceState"](null, "", address);
    void this.show();
  }

  private async show(): Promise<void> {
    const filters = this.filters();
    this.asking?.abort();
    if (!isFiltered(filters)) return this.refresh();
    const asking = (this.asking = new AbortController());
    try {
      const answer = await this.page(filters, null, asking.signal);
      if (asking.signal.aborted) return;
      this.draw(answer, filters);
    } catch (error) {
      if (!asking.signal.aborted) this.rows.replaceChildren(el("p.card", {}, words(error)));
    }
  }

  private page(filters: Filters, before: string | null, signal: AbortSignal): Promise<Answer> {
    const query = new URLSearchParams(queryOf(filters));
    query.set("limit", String(PAGE));
    query.set("zone", localZone());
    if (before) query.set("before", before);
    return get<Answer>(`/api/calls?${query}`, signal);
  }

  private draw({ calls, next_before }: Answer, filters: Filters): void {
    const names = { agent: this.dataset.agent || "Agent", technician: this.dataset.technician || "Technician" };
    const found = next_before ? `The newest ${calls.length} calls that match` : `${count(calls.length, "call")} found`;
    this.told(calls.length ? found : "No call matches.");
    if (!calls.length) return this.rows.replaceChildren(el("p.card", {}, "No call matches. Take a filter away, or look for fewer words."));
    const focused = document.activeElement?.closest(".call")?.id;
    const list = el("ol.calls", {}, ...calls.map((call) => callRow(call, names)));
    this.rows.replaceChildren(list, next_before ? this.older(list, next_before, filters) : "");
    this.focusAgain(focused);
  }

  private older(list: HTMLElement, before: string, filters: Filters): HTMLElement {
    const button = el("button.button.quiet", { type: "button" }, "Older calls");
    const box = el("p.paging", {}, button);
    const names = { agent: this.dataset.agent || "Agent", technician: this.dataset.technician || "Technician" };
    button.addEventListener("click", async () => {
      const answer = await this.page(filters, before, new AbortController().signal).catch(() => null);
      if (!answer) return;
      list.append(...answer.calls.map((call) => callRow(call, names)));
      box.replaceWith(answer.next_before ? this.older(list, answer.next_before, filters) : "");
    });
    return box;
  }

  private take(page: Document): void {
    const fresh = page.getElementById("calls");
    if (!fresh || isFiltered(this.filters())) return;
    localTimes(fresh);
    const focused = document.activeElement?.closest(".call")?.id;
    this.rows.replaceChildren(...fresh.childNodes);
    this.told("");
    this.focusAgain(focused);
  }

  private told(text: string): void {
    const line = need(this, "[data-found]");
    if (line.textContent !== text) line.textContent = text;
  }

  private focusAgain(id: string | undefined): void {
    if (id) document.getElementById(id)?.querySelector("a")?.focus();
  }

  private keys(): void {
    const links = () => [...this.rows.querySelectorAll<HTMLAnchorElement>(".call .who a")];
    const move = (step: number) => () => {
      const all = links();
      const at = all.findIndex((link) => link.closest(".call")?.contains(document.activeElement));
      all[at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + step))]?.focus();
    };
    shortcuts(
      { key: "/", does: "Search what was said", act: () => need<HTMLInputElement>(this, "[name=q]").focus() },
      { key: "j", does: "To the next call", act: move(1) },
      { key: "k", does: "To the call before", act: move(-1) },
      { key: "f", does: "Show or hide the filters", act: () => need(this, "summary").click() },
      { key: "x", does: "Take all filters away", act: () => need(this, "[data-clear]").click() },
    );
  }
}

customElements.define("call-list", CallList);
