// Who can be called: technicians with names, and numbers that were called lately.

import { getIfThere } from "../page/http";

export interface Person {
  readonly name: string;
  readonly number: string;
}

interface Answer {
  named: Person[];
  recent: { number: string; name: string | null }[];
}

const MOST_RECENT = 6;

export async function technicians(): Promise<Person[]> {
  const answer = await getIfThere<Answer>("/api/technicians").catch(() => null);
  return answer ? together(answer) : [];
}

/** The named ones, then recent numbers that have no name; each number once. */
export function together({ named, recent }: Answer): Person[] {
  const numbers = new Set(named.map((one) => one.number));
  const unnamed = recent.filter((one) => !numbers.has(one.number)).slice(0, MOST_RECENT);
  return [...named, ...unnamed.map(({ number, name }) => ({ number, name: name ?? "" }))];
}

/** What fits below the number: those whose name has what is typed, or the first of all. */
export function offered(people: readonly Person[], typed: string, most = 8): { shown: readonly Person[]; more: number } {
  const part = typed.trim().toLowerCase();
  const found = isName(part) ? people.filter((one) => one.name.toLowerCase().includes(part)) : people;
  return { shown: found.slice(0, most), more: Math.max(0, found.length - most) };
}

/** Whether somebody types a name rather than a number. */
export function isName(typed: string): boolean {
  return /\p{L}/u.test(typed);
}
