// The filters of the call list and their form in the URL. Pure.

export const FILTER_NAMES = ["q", "from", "to", "agent", "number", "state", "direction", "verdict", "min_s", "max_s", "notes", "held", "alert", "moment", "label", "reviewed", "assigned", "min_silence_s", "min_interruptions", "min_agent_ratio", "sort"] as const;
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

// As in search_filters.py: key:value or key:"some value", or else a phrase or a word.
const TYPED = /(?<!\S)-?([a-z]+):(?:"(?:[^"\\]|\\.)*(?:"|$)|[^\s"]*)(?!\S)|"[^"]*(?:"|$)|[^\s"]+/gis;

/** The filters with another value of one of them, also in place of one that was typed into the search; without it for "". */
export function toggled(filters: Filters, name: FilterName, value: string): Filters {
  const q = (filters.q ?? "").replace(TYPED, (piece, key: string | undefined) => (key?.toLowerCase() === name ? "" : piece));
  return filtersOf(queryOf({ ...filters, q: q.replace(/\s+/g, " "), [name]: value }));
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
