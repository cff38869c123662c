// <call-dashboard>: figures of a period, day by day. The server renders the totals and the table, and this draws the charts
// from the JSON in the page. A new period, or the reader's time zone, fetches the same page again.

import { el, required, roleNames, svg } from "../page/dom";
import { count, size } from "../page/format";
import { errorMessage } from "../page/http";
import { fetchPage } from "../page/refresh";
import { localZone } from "../page/times";
import { axisText, stacks, ticks, type Day, type DashboardData, type Series } from "./charts";

const WIDE = matchMedia("(max-width: 40rem)").matches ? 250 : 460; // the drawing scales with its card, but its text should stay readable
const HIGH = 130;
const EDGE = { left: 52, bottom: 20, top: 8 };

const number = (value: number, places = 0): string => value.toLocaleString("en", { maximumFractionDigits: places });
const minutes = (ms: number): number => ms / 60_000;

export class CallDashboard extends HTMLElement {
  private latestRequest = 0;

  connectedCallback(): void {
    const form = required<HTMLFormElement>(this, "form");
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", () => {
      const period = new URLSearchParams([...new FormData(form)].map(([name, value]) => [name, String(value)]).filter(([, value]) => value) as [string, string][]);
      history.replaceState(null, "", period.size ? `/statistics?${period}` : "/statistics");
      void this.load();
    });
    const shown = this.draw();
    if (shown.zone !== localZone()) void this.load();
  }

  private async load(): Promise<void> {
    const request = ++this.latestRequest;
    const query = new URLSearchParams(location.search);
    query.set("zone", localZone());
    let content: Node[];
    try {
      const page = await fetchPage(`/statistics?${query}`);
      content = [...required(page, "[data-days]").childNodes];
      for (const name of ["from", "to"]) required<HTMLInputElement>(this, `[name=${name}]`).value ||= required<HTMLInputElement>(page, `[name=${name}]`).value;
    } catch (error) {
      content = [el("p.card", {}, errorMessage(error))];
    }
    if (request !== this.latestRequest) return; // a newer period was chosen
    required(this, "[data-days]").replaceChildren(...content);
    if (this.querySelector("[data-figures]")) this.draw();
  }

  private draw(): DashboardData {
    const days = JSON.parse(required(this, "[data-figures]").textContent ?? "") as DashboardData;
    const names = roleNames(this);
    const verdict = (key: string, name: string): Series => ({ key, name, value: (day) => day.verdicts[key] ?? 0, whole: true });
    const box = required(this, "[data-charts]");
    box.replaceChildren(
      chart("Calls by verdict", days.days, [verdict("verified", "Verified"), verdict("explained", "Explained"), verdict("suspect", "Suspect"), verdict("imported", "Imported"), verdict("none", "No verdict yet")], (n) => number(n)),
      chart("Call minutes", days.days, [{ key: "plain", name: "Minutes", value: (day) => day.minutes }], (n) => number(n, 1)),
      chart(
        "Speech in minutes",
        days.days,
        [
          { key: "agent", name: names.agent, value: (day) => minutes(day.speech_ms.agent) },
          { key: "technician", name: names.technician, value: (day) => minutes(day.speech_ms.technician) },
        ],
        (n) => number(n, 1),
      ),
      chart("Silence in minutes", days.days, [{ key: "plain", name: "Silence", value: (day) => minutes(day.silence_ms) }], (n) => number(n, 1)),
      chart("Interruptions", days.days, [{ key: "plain", name: "Interruptions", value: (day) => day.interruptions, whole: true }], (n) => number(n)),
      chart("Storage used", days.days, [{ key: "plain", name: "Storage", value: (day) => day.storage_bytes }], size),
    );
    box.hidden = false;
    return days;
  }
}

function chart(title: string, days: readonly Day[], series: readonly Series[], format: (value: number) => string): HTMLElement {
  const { bars, top } = stacks(days, series, WIDE, HIGH);
  const totals = series.map((one) => `${one.name} ${format(days.reduce((sum, day) => sum + one.value(day), 0))}`).join(", ");
  const drawing = svg(
    "svg.chart",
    { viewBox: `0 0 ${WIDE + EDGE.left} ${HIGH + EDGE.top + EDGE.bottom}`, role: "img", "aria-label": `${title}, ${count(days.length, "day")}: ${totals}. The table below lists each day.` },
    ...ticks(top, series.every((one) => one.whole)).map((value) => gridLine(value / top, axisText(format(value)))),
    svg("g", { transform: `translate(${EDGE.left} ${EDGE.top})` }, ...bars.map(({ key, ...box }) => svg("rect", { class: `bar ${key}`, ...box })), ...days.map((day, at) => reading(day, at, days.length, series, format))),
    ...[days[0], days.at(-1)].map((day, end) =>
      svg("text", { x: end ? WIDE + EDGE.left : EDGE.left, y: HIGH + EDGE.top + 15, "text-anchor": end ? "end" : "start" }, day?.date ?? ""),
    ),
  );
  const legend = series.length > 1 ? el("ul.legend", { "aria-hidden": "true" }, ...series.map((one) => el("li", {}, el("span", { class: `swatch ${one.key}` }), one.name))) : null;
  return el("figure.card.chart-card", {}, el("figcaption", {}, el("h2", {}, title), legend), drawing);
}

/** The tooltip area of a day. It has the full height, so that low bars can be pointed at too. */
function reading(day: Day, at: number, count: number, series: readonly Series[], format: (value: number) => string): SVGRectElement {
  const parts = series.filter((one) => one.value(day) > 0).map((one) => (series.length > 1 ? `${one.name} ${format(one.value(day))}` : format(one.value(day))));
  const step = WIDE / count;
  return svg("rect", { class: "reading", x: at * step, y: 0, width: step, height: HIGH }, svg("title", {}, `${dayName(day.date)}: ${parts.join(", ") || "none"}`));
}

function dayName(date: string): string {
  return new Date(`${date}T00:00`).toLocaleDateString(undefined, { weekday: "short", day: "numeric", month: "short", year: "numeric" });
}

function gridLine(share: number, text: string): SVGGElement {
  const y = EDGE.top + HIGH * (1 - share);
  return svg("g.grid", {}, svg("line", { x1: EDGE.left, x2: WIDE + EDGE.left, y1: y, y2: y }), svg("text", { x: EDGE.left - 6, y: y + 4, "text-anchor": "end" }, text));
}

customElements.define("call-dashboard", CallDashboard);
