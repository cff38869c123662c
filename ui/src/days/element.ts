// <day-view>: what happened day by day, as charts, with the same figures in a table beside them.

import { el, need, svg } from "../page/dom";
import { count, money, size } from "../page/format";
import { get, words } from "../page/http";
import { localZone } from "../page/times";
import { stacks, ticks, type Day, type Days, type Series } from "./figures";

const WIDE = matchMedia("(max-width: 40rem)").matches ? 250 : 460; // the drawing is scaled to its card, its letters should not be
const HIGH = 130;
const EDGE = { left: 52, bottom: 20, top: 8 };

const number = (value: number, places = 0): string => value.toLocaleString("en", { maximumFractionDigits: places });
const minutes = (ms: number): number => ms / 60_000;

export class DayView extends HTMLElement {
  connectedCallback(): void {
    const form = need<HTMLFormElement>(this, "form");
    const given = new URLSearchParams(location.search);
    for (const name of ["from", "to"]) need<HTMLInputElement>(form, `[name=${name}]`).value = given.get(name) ?? "";
    form.hidden = false;
    form.addEventListener("change", () => {
      const asked = new URLSearchParams([...new FormData(form)].map(([name, value]) => [name, String(value)]).filter(([, value]) => value) as [string, string][]);
      history.replaceState(null, "", asked.size ? `/days?${asked}` : "/days");
      void this.load();
    });
    void this.load();
  }

  private async load(): Promise<void> {
    const box = need(this, "[data-days]");
    try {
      const query = new URLSearchParams(location.search);
      query.set("zone", localZone());
      const days = await get<Days>(`/api/days?${query}`);
      need<HTMLInputElement>(this, "[name=from]").value ||= days.days[0]?.date ?? "";
      need<HTMLInputElement>(this, "[name=to]").value ||= days.days.at(-1)?.date ?? "";
      this.draw(days);
    } catch (error) {
      box.replaceChildren(el("p.card", {}, words(error)));
    }
  }

  private draw(days: Days): void {
    const names = { agent: this.dataset.agent || "Agent", technician: this.dataset.technician || "Technician" };
    const verdict = (key: string, name: string): Series => ({ key, name, value: (day) => day.verdicts[key] ?? 0, whole: true });
    const charts = [
      chart("Calls by verdict", days.days, [verdict("verified", "Verified"), verdict("explained", "Explained"), verdict("suspect", "Suspect"), verdict("none", "No verdict yet")], (n) => number(n)),
      chart("Minutes on the line", days.days, [{ key: "plain", name: "Minutes", value: (day) => day.minutes }], (n) => number(n, 1)),
      chart(
        "Minutes spoken",
        days.days,
        [
          { key: "agent", name: names.agent, value: (day) => minutes(day.spoken_ms.agent) },
          { key: "technician", name: names.technician, value: (day) => minutes(day.spoken_ms.technician) },
        ],
        (n) => number(n, 1),
      ),
      chart("Kept here", days.days, [{ key: "plain", name: "Storage", value: (day) => day.storage_bytes }], size),
    ];
    need(this, "[data-days]").replaceChildren(facts(days), el("div.charts", {}, ...charts), table(days, names));
  }
}

function facts(days: Days): HTMLElement {
  const { total, currency } = days;
  const fact = (name: string, value: string) => el("div", {}, el("dt", {}, name), el("dd.figure", {}, value));
  const cost = (value: number | null) => (value === null ? "–" : money(value, currency));
  return el(
    "dl.facts.figures",
    {},
    fact("Calls", number(total.calls)),
    fact("Minutes", number(total.minutes, 1)),
    fact("Kept here", size(total.storage_bytes)),
    fact("Recorded at the carrier", `${number(total.carrier_minutes, 1)} min`),
    fact("Cost of these days", cost(total.cost)),
    fact(`Cost of ${monthName(days.month)} so far`, cost(days.month_cost)),
    fact(`Expected for ${monthName(days.month)}`, cost(days.month_expected)),
  );
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

function monthName(month: string): string {
  return new Date(`${month}-01T00:00`).toLocaleDateString("en", { month: "long", year: "numeric" });
}

function gridLine(share: number, text: string): SVGGElement {
  const y = EDGE.top + HIGH * (1 - share);
  return svg("g.grid", {}, svg("line", { x1: EDGE.left, x2: WIDE + EDGE.left, y1: y, y2: y }), svg("text", { x: EDGE.left - 6, y: y + 4, "text-anchor": "end" }, text));
}

function table(days: Days, names: { agent: string; technician: string }): HTMLElement {
  const heads = ["Day", "Calls", "Minutes", `${names.agent}, min`, `${names.technician}, min`, "Verified", "Explained", "Suspect", "Kept here", "Carrier, min", "Cost"];
  const cells = (day: Omit<Day, "date">): string[] => [
    number(day.calls),
    number(day.minutes, 1),
    number(minutes(day.spoken_ms.agent), 1),
    number(minutes(day.spoken_ms.technician), 1),
    ...["verified", "explained", "suspect"].map((key) => number(day.verdicts[key] ?? 0)),
    size(day.storage_bytes),
    number(day.carrier_minutes, 1),
    day.cost === null ? "–" : money(day.cost, days.currency),
  ];
  const rows = [...days.days].reverse().filter((day) => day.calls > 0);
  const href = (day: Day) => `/?from=${day.date}&to=${day.date}`;
  return el(
    "div.card.wide-table",
    { tabindex: 0, role: "region", "aria-label": "The same in figures" },
    el(
      "table.figures-table",
      {},
      el("caption", {}, "Days with calls, newest first"),
      el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col" }, head)))),
      el("tbody", {}, ...rows.map((day) => el("tr", {}, el("th", { scope: "row" }, el("a", { href: href(day) }, day.date)), ...cells(day).map((cell) => el("td", {}, cell))))),
      el("tfoot", {}, el("tr", {}, el("th", { scope: "row" }, "Together"), ...cells(days.total).map((cell) => el("td", {}, cell)))),
    ),
  );
}

customElements.define("day-view", DayView);
