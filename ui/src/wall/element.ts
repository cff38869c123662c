// <call-wall>: the calls that are live now, followed by one stream of events. The server renders the rows, also after a change;
// last words, talk ratio and silence are drawn here as they arrive.

import { talkText, type Levels, type Segment } from "../live/state";
import "../live/listen";
import type { CallListening } from "../live/listen";
import { el, required, roleNames } from "../page/dom";
import { duration, fragment } from "../page/format";
import type { Role } from "../page/api_types";
import { subscribe } from "../page/events";
import { fetchPage, pageRefresher } from "../page/refresh";
import { updatePart } from "../page/update";

type OfCall<T> = T & { call_id: string };

interface PhraseAlert {
  rule: string;
  trigger: "said" | "missing";
  role: Role | null;
  start_ms: number | null;
}

export class CallWall extends HTMLElement {
  private readonly levels = new Map<string, Levels>();
  private clock: ReturnType<typeof setInterval> | undefined;
  private readonly refresh = pageRefresher((page) => this.replaceRows(page));

  connectedCallback(): void {
    const listening = this.listening;
    if (listening) listening.changed = () => this.drawListening();
    this.addEventListener("click", (event) => {
      const row = (event.target as Element).closest("[data-listen]")?.closest<HTMLElement>("[data-call]");
      if (!row || !listening) return;
      if (listening.listeningTo === row.dataset.call) listening.stop();
      else void listening.start(row.dataset.call!, shownText(row.querySelector(".who a")));
    });
    this.drawDurations();
    this.clock = setInterval(() => this.drawDurations(), 1000);
    subscribe(this.dataset.events ?? "", {
      call: this.refresh,
      consent: this.refresh,
      pause: this.refresh,
      final: (data: OfCall<Segment>) => this.drawWords(data),
      level: (data: OfCall<Levels>) => {
        this.levels.set(data.call_id, data);
        this.drawTalk(data.call_id);
      },
      phrase_alert: (data: OfCall<PhraseAlert>) => {
        if (data.trigger === "said") this.drawBanner(data);
        this.refresh();
      },
    }, () => this.renew());
  }

  /** Draw the calls of now; returns the address of the events after them, null if the server cannot be reached. */
  private async renew(): Promise<string | null> {
    const page = await fetchPage(location.href).catch(() => null);
    if (!page) return null;
    this.replaceRows(page);
    return page.querySelector<HTMLElement>("call-wall")?.dataset.events ?? null;
  }

  disconnectedCallback(): void {
    clearInterval(this.clock);
  }

  private get listening(): CallListening | null {
    return this.querySelector("call-listening");
  }

  private drawListening(): void {
    const to = this.listening?.listeningTo ?? null;
    for (const button of this.querySelectorAll("[data-listen]")) button.setAttribute("aria-pressed", String(button.closest<HTMLElement>("[data-call]")?.dataset.call === to));
  }

  private row(callId: string): HTMLElement | null {
    return this.querySelector(`[data-call="${CSS.escape(callId)}"]`);
  }

  private drawDurations(): void {
    for (const shown of this.querySelectorAll<HTMLElement>("[data-since]")) shown.textContent = duration(Date.now() - Date.parse(shown.dataset.since!));
  }

  private drawWords({ call_id, role, text }: OfCall<Segment>): void {
    const line = this.row(call_id)?.querySelector("[data-words]");
    if (line && text) line.replaceChildren(el("span", { class: role }, el("span.party", {}, roleNames(this)[role])), " ", text);
  }

  private drawTalk(callId: string): void {
    const line = this.row(callId)?.querySelector("[data-talk]");
    const levels = this.levels.get(callId);
    if (line && levels) line.textContent = talkText(levels, roleNames(this));
  }

  private drawBanner({ call_id, rule, role, start_ms }: OfCall<PhraseAlert>): void {
    const banner = required(this, "[data-banner]");
    const parties = this.row(call_id)?.querySelector(".who a")?.cloneNode(true).childNodes ?? [];
    const by = role ? `, said by ${roleNames(this)[role]}` : "";
    const moment = start_ms === null ? "" : fragment(start_ms);
    banner.replaceChildren(el("strong", {}, rule), `${by}: `, el("a", { href: `/calls/${call_id}${moment}` }, ...(parties.length ? parties : ["call"])));
    banner.hidden = false;
  }

  private replaceRows(page: Document): void {
    const fresh = page.getElementById("calls");
    if (!fresh) return;
    updatePart(required(this, "#calls"), fresh);
    const shown = new Set([...this.querySelectorAll<HTMLElement>("[data-call]")].map((row) => row.dataset.call!));
    for (const callId of [...this.levels.keys()]) {
      if (shown.has(callId)) this.drawTalk(callId);
      else this.levels.delete(callId); // the call has ended
    }
    this.drawDurations();
    this.drawListening();
  }
}

/** Its text without what only screen readers get. */
function shownText(element: Element | null): string {
  const copy = element?.cloneNode(true) as Element | undefined;
  copy?.querySelectorAll(".visually-hidden").forEach((hidden) => hidden.remove());
  return copy?.textContent?.replace(/\s+/g, " ").trim() ?? "";
}

customElements.define("call-wall", CallWall);
