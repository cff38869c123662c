// Counts beside the found calls: how many have each agent, verdict, label and so on, as links that add or remove that filter.
// In the column beside the list where there is one, and then open; else above the rows, and fetched once opened.

import { el, required } from "../page/dom";
import { errorMessage, get } from "../page/http";
import { merged } from "../page/refresh";
import { localTime, localZone } from "../page/times";
import { updatePart } from "../page/update";
import { filtersOf, queryOf, toggled, type FilterName, type Filters } from "./filters";

interface FacetValue {
  value: string;
  name: string;
  calls: number;
  chosen: boolean;
}

interface Facet {
  name: FilterName;
  values: FacetValue[];
  /** How many values are not listed. */
  more: number;
}

interface Facets {
  facets: Facet[];
  /** Earlier calls are not counted. */
  since: string | null;
}

const WIDE = "(min-width: 70rem)";
const LIVE_EVERY_MS = 10_000;

/** The facets of the list in `root`. `choose` applies filters. Returns what to call after the calls of a filter were drawn; null: there is no filter. */
export function followFacets(root: HTMLElement, form: HTMLFormElement, choose: (filters: Filters) => void): (filters: Filters | null) => void {
  const panel = required<HTMLDetailsElement>(root, "[data-facets]");
  const body = required(panel, "[data-body]");
  const above = required(root, "[data-found]");
  const beside = document.querySelector(".desk-side");
  const wide = matchMedia(WIDE);
  let wanted: Filters | null = null;
  let drawn: string | null = null;
  let pending: AbortController | null = null;

  const place = () => {
    if (wide.matches && beside) beside.append(panel);
    else above.after(panel);
    panel.open = wide.matches;
  };

  const load = async () => {
    pending?.abort();
    if (!wanted || !panel.open) return;
    const filters = wanted;
    const mine = (pending = new AbortController());
    const query = new URLSearchParams(queryOf(filters));
    query.set("zone", localZone());
    try {
      const found = await get<Facets>(`/api/v1/facets?${query}`, mine.signal);
      if (mine.signal.aborted) return;
      draw(found, filters);
      drawn = queryOf(filters);
    } catch (error) {
      if (!mine.signal.aborted) show(el("p", {}, errorMessage(error)));
    }
  };
  const recount = merged(load, LIVE_EVERY_MS);

  const draw = ({ facets, since }: Facets, filters: Filters) => {
    const lists = facets.filter((facet) => facet.values.length).map((facet) => group(facet, filters));
    if (since) lists.push(el("p.small.soft", {}, `Calls before ${localTime(since)} are not counted.`));
    show(...(lists.length ? lists : [el("p.soft", {}, "No matching calls to count.")]));
  };

  const show = (...content: HTMLElement[]) => {
    const fresh = body.cloneNode() as HTMLElement;
    fresh.append(...content);
    updatePart(body, fresh);
  };

  const group = ({ name, values, more }: Facet, filters: Filters) => {
    const field = form.elements.namedItem(name);
    const title = (field instanceof Element && field.closest("label")?.firstChild?.textContent) || name;
    const list = el("ul.chips", { "aria-label": title }, ...values.map((one) => el("li", {}, link(name, one, filters, shownName(field, one)))));
    return el("section", {}, el("h3.small", {}, title), list, more > 0 && el("p.small.soft", {}, `${more} more`));
  };

  const link = (name: FilterName, { value, calls, chosen }: FacetValue, filters: Filters, text: string) => {
    const next = toggled(filters, name, chosen ? "" : value);
    const hidden = (words: string) => el("span.visually-hidden", {}, words);
    return el(
      "a.chip",
      {
        id: `facet-${name}-${encodeURIComponent(value)}`,
        href: `/${queryOf(next)}`,
        "aria-current": chosen && "true",
      },
      chosen && hidden("Remove the filter "),
      text,
      " ",
      el("span.figure.soft", {}, String(calls)),
      hidden(calls === 1 ? " call" : " calls"),
      chosen && el("span", { "aria-hidden": "true" }, " ×"),
    );
  };

  body.addEventListener("click", (event) => {
    const chosen = (event.target as Element).closest<HTMLAnchorElement>("a.chip");
    if (!chosen || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    choose(filtersOf(chosen.search));
  });
  panel.addEventListener("toggle", () => {
    if (wanted && queryOf(wanted) !== drawn) void load();
  });
  wide.addEventListener("change", place);
  place();
  return (filters) => {
    wanted = filters;
    panel.hidden = !filters;
    if (filters && queryOf(filters) === drawn) recount();
    else void load();
  };
}

/** As the form of filters names the value. */
function shownName(field: Element | RadioNodeList | null, { value, name }: FacetValue): string {
  const option = field instanceof HTMLSelectElement ? [...field.options].find((one) => one.value === value) : undefined;
  return option?.text ?? name;
}
