// <call-list>: the list of calls with search and filters, updated live. Its filters are kept in the URL.
// Without filters the server renders the list, which is fetched again on changes; with filters it is rendered here.

import { el, required, roleNames } from "../page/dom";
import { count, duration } from "../page/format";
import { ApiError, errorMessage, get } from "../page/http";
import { debounced, merged, pageRefresher } from "../page/refresh";
import type { ListedCall } from "../page/api_types";
import { addShortcuts } from "../page/shortcuts";
import { subscribe } from "../page/events";
import { localZone } from "../page/times";
import { updatePart } from "../page/update";
import { toast } from "../page/toast";
import { filtersOf, isFiltered, minutesOf, queryOf, secondsOf, type Filters } from "./filters";
import { followSelection } from "./bulk";
import { followFacets } from "./facets";
import { callRow } from "./rows";
import { followSaved } from "./saved";

const DEBOUNCE_MS = 250;
const PAGE_SIZE = 50;

interface CallPage {
  calls: ListedCall[];
  next_before: string | null;
  /** The search text has no letter or digit. */
  unsearchable: boolean;
}

function olderButton(before: string, filters: Filters): HTMLElement {
  return el("p.paging", {}, el("button.button.quiet", { type: "button", "data-before": before }, filters.sort ? "More calls" : "Older calls"));
}

export class CallList extends HTMLElement {
  private clock: ReturnType<typeof setInterval> | undefined;
  private pending: AbortController | null = null;
  /** The filters cannot be used; live events do not request them again. */
  private refused = false;
  /** Shows or hides what saves the filters, after they changed. */
  private saved: () => void = () => undefined;
  private facets: (filters: Filters | null) => void = () => undefined;
  private readonly refresh = pageRefresher((page) => this.replaceRows(page));

  connectedCallback(): void {
    const form = this.form;
    form.hidden = false;
    const initial = filtersOf(location.search);
    this.fill(initial);
    this.facets = followFacets(this, form, (filters) => {
      this.fill(filters);
      this.changed(true);
    });
    const typed = debounced(() => this.changed(false), DEBOUNCE_MS);
    form.addEventListener("input", typed);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.changed(true);
    });
    required(this, "[data-clear]").addEventListener("click", () => {
      this.fill({});
      this.changed(true);
    });
    window.addEventListener("popstate", () => {
      this.fill(filtersOf(location.search));
      void this.show();
    });
    this.rows.addEventListener("click", (event) => {
      const button = (event.target as Element).closest<HTMLElement>("[data-before]");
      if (button) void this.addOlder(button);
    });
    if (isFiltered(initial)) {
      this.rows.replaceChildren(); // the server's list has all calls
      void this.show();
    }
    const update = merged(() => {
      if (!isFiltered(this.filters())) this.refresh();
      else if (!this.refused) void this.show();
    });
    subscribe(this.dataset.events ?? "/events?kinds=call,verdict", { call: update, verdict: update });
    this.saved = followSaved(this, () => queryOf(this.filters()));
    if ("picks" in this.dataset) followSelection(this, this.rows, update);
    this.addKeys();
    this.updateDurations();
    this.clock = setInterval(() => this.updateDurations(), 1000);
  }

  disconnectedCallback(): void {
    clearInterval(this.clock);
  }

  /** The durations of live calls. */
  private updateDurations(rows: HTMLElement = this): void {
    for (const shown of rows.querySelectorAll<HTMLElement>("[data-since]")) shown.textContent = duration(Date.now() - Date.parse(shown.dataset.since!));
  }

  private get form(): HTMLFormElement {
    return required<HTMLFormElement>(this, "form[data-filters]");
  }

  private get rows(): HTMLElement {
    return required(this, "#calls");
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
    if (isFiltered(others)) required<HTMLDetailsElement>(this, "details").open = true;
    // Values that the form cannot represent, such as an agent's name where that field is absent, are dropped.
    const represented = queryOf(this.filters());
    if (represented !== queryOf(filters)) history.replaceState(null, "", `/${represented}`);
  }

  private changed(addToHistory: boolean): void {
    const address = `/${queryOf(this.filters())}`;
    if (address === location.pathname + location.search) return;
    history[addToHistory ? "pushState" : "replaceState"](null, "", address);
    void this.show();
  }

  private async show(): Promise<void> {
    const filters = this.filters();
    this.saved();
    this.querySelector("[data-ask]")?.setAttribute("href", `/ask${queryOf(filters)}`);
    this.pending?.abort();
    if (!isFiltered(filters)) {
      this.complain("");
      this.facets(null);
      return this.refresh();
    }
    const pending = (this.pending = new AbortController());
    try {
      const page = await this.page(filters, null, pending.signal);
      if (pending.signal.aborted) return;
      this.complain("");
      this.draw(page, filters);
      this.facets(filters);
    } catch (error) {
      if (pending.signal.aborted) return;
      if (error instanceof ApiError && error.status === 422) return this.complain(error.message);
      this.complain("");
      this.rows.replaceChildren(el("p.card", {}, errorMessage(error)));
    }
  }

  /** Says beside the search why the filters cannot be used, and keeps the list; empty: they can. */
  private complain(problem: string): void {
    const line = required(this, "[data-problem]");
    if (line.textContent !== problem) line.textContent = problem;
    this.refused = problem !== "";
    if (problem) this.announce("");
    // Messages about a filter typed into the search begin with it, in quotes.
    required(this, "[name=q]").setAttribute("aria-invalid", String(problem.startsWith("'")));
  }

  private page(filters: Filters, before: string | null, signal: AbortSignal): Promise<CallPage> {
    const query = new URLSearchParams(queryOf(filters));
    query.set("limit", String(PAGE_SIZE));
    query.set("zone", localZone());
    if (before) query.set("before", before);
    return get<CallPage>(`/api/v1/calls?${query}`, signal);
  }

  private draw({ calls, next_before, unsearchable }: CallPage, filters: Filters): void {
    const found = next_before ? `The ${filters.sort ? "first" : "newest"} ${calls.length} matching calls` : `${count(calls.length, "call")} found`;
    this.announce(calls.length ? found : "No matching calls.");
    if (!calls.length) {
      const advice = unsearchable ? "The search text has no letter or digit. Search for a word or a number." : "No matching calls. Remove a filter, or search for fewer words.";
      return this.rows.replaceChildren(el("p.card", {}, advice));
    }
    const fresh = this.rows.cloneNode() as HTMLElement;
    fresh.append(el("ol.calls", {}, ...calls.map((call) => this.row(call))), next_before ? olderButton(next_before, filters) : "");
    this.update(fresh);
  }

  private async addOlder(button: HTMLElement): Promise<void> {
    const filters = this.filters();
    const before = button.dataset.before!;
    const page = await this.page(filters, before, new AbortController().signal).catch((error: unknown) => toast(errorMessage(error)));
    if (!page || !button.isConnected || button.dataset.before !== before) return; // the list has changed meanwhile
    required(this.rows, "ol.calls").append(...page.calls.map((call) => this.row(call)));
    button.parentElement?.replaceWith(page.next_before ? olderButton(page.next_before, filters) : "");
  }

  private row(call: ListedCall): HTMLLIElement {
    return callRow(call, roleNames(this), "picks" in this.dataset);
  }

  private replaceRows(page: Document): void {
    const fresh = page.getElementById("calls");
    if (!fresh || isFiltered(this.filters())) return;
    this.update(fresh);
    this.announce("");
  }

  private update(rows: HTMLElement): void {
    this.updateDurations(rows);
    updatePart(this.rows, rows);
  }

  private announce(text: string): void {
    const line = required(this, "[data-found]");
    if (line.textContent !== text) line.textContent = text;
  }

  private goToFacets(): void {
    const panel = document.querySelector<HTMLDetailsElement>("[data-facets]:not([hidden])");
    if (panel) panel.open = true;
    panel?.querySelector<HTMLElement>("a, summary")?.focus();
  }

  private addKeys(): void {
    const links = () => [...this.rows.querySelectorAll<HTMLAnchorElement>(".call .who a")];
    const move = (step: number) => () => {
      const all = links();
      const at = all.findIndex((link) => link.closest(".call")?.contains(document.activeElement));
      all[at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + step))]?.focus();
    };
    addShortcuts(
      { key: "/", label: "Search transcripts", run: () => required<HTMLInputElement>(this, "[name=q]").focus() },
      { key: "j", label: "Next call", run: move(1) },
      { key: "k", label: "Previous call", run: move(-1) },
      { key: "f", label: "Show or hide the filters", run: () => required(this, "summary").click() },
      { key: "n", label: "Counts of the found calls", run: () => this.goToFacets() },
      { key: "a", label: "Show all calls: clear the filters", run: () => required(this, "[data-clear]").click() },
    );
  }
}

customElements.define("call-list", CallList);
