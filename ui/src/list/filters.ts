// The filters of the call list and their form in the URL. Pure.

export const FILTER_NAMES = ["q", "from", "to", "agent", "number", "state", "verdict", "min_s", "max_s", "notes", "held", "alert", "moment", "label", "reviewed", "assigned", "min_silence_s", "min_interruptions", "min_agent_ratio", "sort"] as const;
export type FilterName = (typeof FILTER_NAMES)[number];
export type Filters = Partial<Record<FilterName, string>>;

/** The filters in a query string; unknown and empty ones are ignored. */
export function filtersOf(query: string): Filters {
  const parameters = new URLSearchParams(query);
  const found: Filters = {};
  for (const name of FILTER_NAMES) {
    const value = parameters.get(name)?.trim();
    if (value) found[name] = value;
  }
  return found;
}

/** The query string for filters, in a fixed order so that equal filters have equal URLs; "" without filters. */
export function queryOf(filters: Filters): string {
  const parameters = new URLSearchParams();
  for (const name of FILTER_NAMES) {
    const value = filters[name]?.trim();
    if (value) parameters.set(name, value);
  }
  const text = parameters.toString();
  return text ? `?${text}` : "";
}

export function isFiltered(filters: Filters): boolean {
  return FILTER_NAMES.some((name) => filters[name]);
}

/** The form has minutes, the API seconds. */
export function secondsOf(minutes: string): string {
  const n = Number(minutes.replace(",", "."));
  return minutes.trim() && Number.isFinite(n) && n >= 0 ? String(Math.round(n * 60)) : "";
}

export function minutesOf(seconds: string | undefined): string {
  return seconds && Number.isFinite(Number(seconds)) ? String(Number(seconds) / 60) : "";
}
