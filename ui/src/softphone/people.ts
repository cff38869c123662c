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
