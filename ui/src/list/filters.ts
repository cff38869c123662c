// The filters of the call list and the address that holds them. Pure.

export const FILTER_NAMES = ["q", "from", "to", "agent", "number", "state", "verdict", "min_s", "max_s", "notes", "held"] as const;
export type FilterName = (typeof FILTER_NAMES)[number];
export type Filters = Partial<Record<FilterName, string>>;

/** The filters in an address's query; what is not one of ours, or is empty, is left out. */
export function filtersOf(query: string): Filters {
  const given = new URLSearchParams(query);
  const found: Filters = {};
  for (const name of FILTER_NAMES) {
    const value = given.get(name)?.trim();
    if (value) found[name] = value;
  }
  return found;
}

/** The query for filters, in one order, so that one state has one address; "" without any. */
export function queryOf(filters: Filters): string {
  const kept = new URLSearchParams();
  for (const name of FILTER_NAMES) {
    const value = filters[name]?.trim();
    if (value) kept.set(name, value);
  }
  const text = kept.toString();
  return text ? `?${text}` : "";
}

export function isFiltered(filters: Filters): boolean {
  return FILTER_NAMES.some((name) => filters[name]);
}

/** The form's minutes as the API's seconds, and back. */
export function secondsOf(minutes: string): string {
  const n = Number(minutes.replace(",", "."));
  return minutes.trim() && Number.isFinite(n) && n >= 0 ? String(Math.round(n * 60)) : "";
}

export function minutesOf(seconds: string | undefined): string {
  return seconds && Number.isFinite(Number(seconds)) ? String(Number(seconds) / 60) : "";
}
