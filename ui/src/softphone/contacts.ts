// Who can be called: named numbers from the phone book, and recent numbers.

import { getOrNull } from "../page/http";

export interface Contact {
  readonly name: string;
  readonly number: string;
}

interface PhoneBook {
  named: Contact[];
  recent: { number: string; name: string | null }[];
}

const MOST_RECENT = 6;

export async function loadContacts(): Promise<Contact[]> {
  const book = await getOrNull<PhoneBook>("/api/v1/technicians").catch(() => null);
  return book ? mergeContacts(book) : [];
}

/** Named numbers, then recent ones without a name; each number once. */
export function mergeContacts({ named, recent }: PhoneBook): Contact[] {
  const numbers = new Set(named.map((one) => one.number));
  const unnamed = recent.filter((one) => !numbers.has(one.number)).slice(0, MOST_RECENT);
  return [...named, ...unnamed.map(({ number, name }) => ({ number, name: name ?? "" }))];
}

/** The contacts to suggest: those whose name contains the typed text, or the first of all for a number. */
export function suggestions(contacts: readonly Contact[], typed: string, most = 8): { shown: readonly Contact[]; more: number } {
  const part = typed.trim().toLowerCase();
  const found = isName(part) ? contacts.filter((one) => one.name.toLowerCase().includes(part)) : contacts;
  return { shown: found.slice(0, most), more: Math.max(0, found.length - most) };
}

/** Whether the typed text is a name rather than a number. */
export function isName(typed: string): boolean {
  return /\p{L}/u.test(typed);
}
