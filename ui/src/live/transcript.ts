// <live-transcript>: the words of a live call. Turns rendered by the server stay as they are. Partials have lines reserved
// for them, so that nothing below moves.

import { el, roleNames } from "../page/dom";
import { duration, fragment } from "../page/format";
import { ROLES, type Role } from "../page/api_types";
import { gap } from "../page/words";
import { INITIAL, meterShare, reduce, statusText, talkText, type Levels, type LiveEvent, type LiveState, type LiveTurn } from "./state";

const NEAR_END_PX = 48;

export class LiveTranscript extends HTMLElement {
  private state: LiveState = INITIAL;
  private readonly drawn = new Map<string, HTMLLIElement>();

  private erased = false;
  private readonly latest = el("button.chip.latest", { type: "button", hidden: true, onclick: () => this.toEnd() }, "Latest words ↓");

  connectedCallback(): void {
    if (!this.querySelector("[data-finals]")) this.append(...parts(roleNames(this)));
    const scroll = this.querySelector(".live-scroll");
    scroll?.after(el("div.latest-place", {}, this.latest));
    scroll?.addEventListener("scroll", () => {
      if (isAtEnd(scroll)) this.latest.hidden = true;
    });
    for (const part of this.querySelectorAll<HTMLElement>("[data-partials], [data-meters]")) part.hidden = false;
    this.toEnd();
  }

  /** Show an event of the call. */
  apply(event: LiveEvent): void {
    if (this.erased) return;
    const before = this.state;
    this.state = reduce(before, event);
    if (this.state.turns !== before.turns) this.drawTurns();
    if (this.state.partials !== before.partials) this.drawPartials();
    if (this.state.levels && this.state.levels !== before.levels) this.drawLevels(this.state.levels);
  }

  /** The call has ended: remove partials and meters. */
  end(): void {
    for (const part of this.querySelectorAll<HTMLElement>("[data-partials], [data-meters]")) part.hidden = true;
  }

  /** The call is not recorded any more, and its words are erased. */
  erase(): void {
    this.erased = true;
    this.querySelector("[data-finals] .turns")?.replaceChildren();
    this.latest.hidden = true;
    this.end();
  }

  private drawTurns(): void {
    const list = this.querySelector("[data-finals] .turns");
    const scroll = this.querySelector(".live-scroll");
    if (!list || !scroll) return;
    this.querySelector("[data-waiting]")?.setAttribute("hidden", "");
    const atEnd = isAtEnd(scroll);
    for (const turn of this.state.turns) {
      if (this.drawn.has(turn.key)) continue;
      const item = liveTurn(turn, roleNames(this)[turn.role]);
      this.drawn.set(turn.key, item);
      const later = [...list.children].find((other) => Number((other as HTMLElement).dataset.startMs) > turn.start_ms);
      list.insertBefore(item, later ?? null);
    }
    if (atEnd) this.toEnd();
    else this.latest.hidden = false;
  }

  private drawPartials(): void {
    for (const role of ROLES) {
      const line = this.querySelector(`[data-partial="${role}"]`);
      const { stable, tentative } = this.state.partials[role];
      const space = gap(stable, tentative);
      const text = stable + space + tentative;
      if (!line || (line.textContent === text && line.firstChild?.textContent === stable)) continue;
      line.replaceChildren(...(text ? [el("span.stable", {}, stable), space, el("span.tentative", {}, tentative)] : []));
      line.scrollTop = line.scrollHeight; // two lines are reserved; a longer text shows its end
    }
  }

  private drawLevels(levels: Levels): void {
    const line = this.querySelector("[data-level]");
    if (line) line.textContent = statusText(levels);
    const talk = this.querySelector("[data-talk]");
    if (talk) talk.textContent = talkText(levels, roleNames(this));
    for (const role of ROLES) {
      const meter = this.querySelector<HTMLElement>(`[data-meter="${role}"]`);
      if (!meter) continue;
      const dbfs = levels[`${role}_dbfs`];
      meter.setAttribute("aria-valuenow", String(Math.round(Math.max(-60, dbfs))));
      (meter.firstElementChild as HTMLElement).style.transform = `scaleX(${meterShare(dbfs).toFixed(3)})`;
    }
  }

  private toEnd(): void {
    const scroll = this.querySelector(".live-scroll");
    if (scroll) scroll.scrollTop = scroll.scrollHeight;
  }
}

function isAtEnd(scroll: Element): boolean {
  return scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < NEAR_END_PX;
}

function liveTurn(turn: LiveTurn, name: string): HTMLLIElement {
  return el(
    `li.turn.${turn.role}`,
    { "data-role": turn.role, "data-start-ms": turn.start_ms, "data-end-ms": turn.end_ms },
    el("p.who", {}, el("span.party", {}, name), " ", el("a.figure", { href: fragment(turn.start_ms), title: "Play from here" }, duration(turn.start_ms))),
    el("p.text", {}, turn.text),
  );
}

/** The same markup as in call.html. */
function parts(names: Record<Role, string>): HTMLElement[] {
  const meters = ROLES.map((role) =>
    el(
      `div.level.${role}`,
      {},
      el("span.party", {}, names[role]),
      el("div.meter", { role: "meter", "data-meter": role, "aria-label": `Audio level: ${names[role]}`, "aria-valuemin": -60, "aria-valuemax": 0, "aria-valuenow": -60 }, el("i")),
    ),
  );
  const lines = ROLES.map((role) => el(`div.partial.${role}`, {}, el("span.party", {}, names[role]), el("p.text", { "data-partial": role })));
  return [
    el(
      "div.live-scroll",
      { tabindex: 0, role: "region", "aria-label": "Live transcript" },
      el("div", { "aria-live": "polite", "aria-relevant": "additions", "data-finals": "" }, el("ol.turns")),
      el("p.soft", { "data-waiting": "" }, "Words appear here as they are spoken."),
    ),
    el("div.partials", { "aria-hidden": "true", "data-partials": "" }, ...lines),
    el("div.meters", { "data-meters": "" }, ...meters, el("p.level-line", { "data-talk": "" }), el("p.level-line", { "data-level": "" })),
  ];
}

customElements.define("live-transcript", LiveTranscript);
