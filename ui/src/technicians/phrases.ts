// A list of words as lines of text, and what becomes of it when two people change it. Pure.

/** The phrases of a text with one a line, each once, in their order. */
export function phrasesOf(text: string): string[] {
  return [...new Set(text.split(/[\n,]/).map((line) => line.trim().replace(/\s+/g, " ")).filter(Boolean))];
}

/** What one person made of `before`, done to the list as it is `now`: what others added stays, what they removed is gone. */
export function merged(before: readonly string[], after: readonly string[], now: readonly string[]): string[] {
  const added = after.filter((phrase) => !before.includes(phrase));
  const kept = now.filter((phrase) => after.includes(phrase) || !before.includes(phrase));
  return [...new Set([...kept, ...added])];
}
