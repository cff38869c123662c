// <day-view>: what happened day by day. The server draws the figures and their table; the charts are drawn here from what
// stands in the page. Another range, or the reader's own zone, is the same page asked for again.

import { el, need, svg } from "../page/dom";
import { count, size } from "../page/format";
import { words } from "../page/http";
import { pageAt } from "../page/refresh";
import { localZone } from "../page/times";
import { stacks, ticks, type Day, type Days, type Series } from "./figures";

const WIDE = matchMedia("(max-width: 40rem)").matches ? 250 : 460; // the drawing is scaled to its card, its letters should not be
const HIGH = 130;
const EDGE = { left: 52, bottom: 20, top: 8 };

const number = (value: number, places = 0): string => value.toLocaleString("en", { maximumFractionDigits: places });
const minutes = (ms: number): number => ms / 60_000;

export class DayView extends HTMLElement {
  private asked = 0;

  connectedCallback(): void {
    const form = need<HTMLFormElement>(this, "form");
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", () => {
      const asked = new URLSearchParams([...new FormData(form)].map(([name, value]) => [name, String(value)]).filter(([, value]) => value) as [string, string][]);
      history.replaceState(null, "", asked.size ? `/statistics?${asked}` : "/statistics");
      void this.load();
    });
    const shown = this.draw();
    if (shown.zone !== localZone()) void this.load();
  }

  private async load(): Promise<void> {
    const mine = ++this.asked;
    const query = new URLSearchParams(location.search);
    query.set("zone", localZone());
    let drawn: Node[];
    try {
      const page = await pageAt(`/statistics?${query}`);
      drawn = [...need(page, "[data-days]").childNodes];
      for (const name of ["from", "to"]) need<HTMLInputElement>(this, `[name=${name}]`).value ||= need<HTMLInputElement>(page, `[name=${name}]`).value;
    } catch (error) {
      drawn = [el("p.card", {}, words(error))];
    }
    if (mine !== this.asked) return; // another range was asked for meanwhile
    need(this, "[data-days]").replaceChildren(...drawn);
    if (this.querySelector("[data-figures]")) this.draw();
  }

  private draw(): Days {
    const days = JSON.parse(need(this, "[data-figures]").textContent ?? "") as Days;
    const names = { agent: this.dataset.agent || "Agent", technician: this.dataset.technician || "Technician" };
    const verdict = (key: string, name: string): Series => ({ key, name, value: (day) => day.verdicts[key] ?? 0, whole: true });
    const box = need(this, "[data-charts]");
    box.replaceChildren(
      chart("Calls by verdict", days.days, [verdict("verified", "Verified"), verdict("explained", "Explained"), verdict("suspect", "Suspect"), verdict("none", "No verdict yet")], (n) => number(n)),
      chart("Minutes on the line", days.days, [{ key: "plain", name: "Minutes", value: (day) => day.minutes }], (n) => number(n, 1)),
      chart(
        "Minutes spoken",
        days.days,
        [
          { key: "agent", name: names.agent, value: (day) => minutes(day.speech_ms.agent) },
          { key: "technician", name: names.technician, value: (day) => minutes(day.speech_ms.technician) },
        ],
        (n) => number(n, 1),
      ),
      chart("Kept here", days.days, [{ key: "plain", name: "Storage", value: (day) => day.storage_bytes }], size),
    );
    box.hidden = false;
    return days;
  }
}

function chart(title: string, days: readonly Day[], series: readonly Series[], say: (value: number) => string): HTMLElement {
  const { bars, top } = stacks(days, series, WIDE, HIGH);
  const said = series.map((one) => `${one.name} ${say(days.reduce((sum, day) => sum + one.value(day), 0))}`).join(", ");
  const drawing = svg(
    "svg.chart",
    { viewBox: `0 0 ${WIDE + EDGE.left} ${HIGH + EDGE.top + EDGE.bottom}`, role: "img", "aria-label": `${title}, ${count(days.length, "day")}: ${said}. The table below has each day.` },
    ...ticks(top, series.every((one) => one.whole)).map((value) => gridLine(value / top, say(value))),
    svg("g", { transform: `translate(${EDGE.left} ${EDGE.top})` }, ...bars.map(({ key, ...box }) => svg("rect", { class: `bar ${key}`, ...box })), ...days.map((day, at) => reading(day, at, days.length, series, say))),
    ...[days[0], days.at(-1)].map((day, end) =>
      svg("text", { x: end ? WIDE + EDGE.left : EDGE.left, y: HIGH + EDGE.top + 15, "text-anchor": end ? "end" : "start" }, day?.date ?? ""),
    ),
  );
  const legend = series.length > 1 ? el("ul.legend", { "aria-hidden": "true" }, ...series.map((one) => el("li", {}, el("span", { class: `swatch ${one.key}` }), one.name))) : null;
  return el("figure.card.chart-card", {}, el("figcaption", {}, el("h2", {}, title), legend), drawing);
}

/** What the pointer reads above a day: the whole height of it, so that low bars are found too. */
function reading(day: Day, at: number, count: number, series: readonly Series[], say: (value: number) => string): SVGRectElement {
  const parts = series.filter((one) => one.value(day) > 0).map((one) => (series.length > 1 ? `${one.name} ${say(one.value(day))}` : say(one.value(day))));
  const step = WIDE / count;
  return svg("rect", { class: "reading", x: at * step, y: 0, width: step, height: HIGH }, svg("title", {}, `${dayName(day.date)}: ${parts.join(", ") || "nothing"}`));
}

function dayName(date: string): string {
  return new Date(`${date}T00:00`).toLocaleDateString(undefined, { weekday: "short", day: "numeric", month: "short", year: "numeric" });
}

function gridLine(share: number, text: string): SVGGElement {
  const y = EDGE.top + HIGH * (1 - share);
  return svg("g.grid", {}, svg("line", { x1: EDGE.left, x2: WIDE + EDGE.left, y1: y, y2: y }), svg("text", { x: EDGE.left - 6, y: y + 4, "text-anchor": "end" }, text));
}

customElements.define("day-view", DayView);
