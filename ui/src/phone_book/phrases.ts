// A custom vocabulary as text with one phrase per line, and merging of concurrent changes. Pure.

/** The phrases of a text, separated by line ends or commas; each once, in order. */
export function phrasesOf(text: string): string[] {
  return [...new Set(text.split(/[\n,]/).map((line) => line.trim().replace(/\s+/g, " ")).filter(Boolean))];
}

/** Apply one person's change from `before` to `after` to the list as it is `now`, keeping what others added and removed. */
export function mergePhrases(before: readonly string[], after: readonly string[], now: readonly string[]): string[] {
  const added = after.filter((phrase) => !before.includes(phrase));
  const remaining = now.filter((phrase) => after.includes(phrase) || !before.includes(phrase));
  return [...new Set([...remaining, ...added])];
}
