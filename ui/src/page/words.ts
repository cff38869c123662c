// Words as their script is written: Chinese, Japanese, Thai and others have no spaces between them. By the same rules as
// domain/words.py.

const UNSPACED = /[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uff9f\u{20000}-\u{3ffff}]/u;
const PUNCTUATION = /[、。，．！？：；「」『』（）【】《》〈〉・]/u;

/** What stands between two words: a space, or nothing where their script has none. */
export function gap(before: string, after: string): "" | " " {
  const last = [...before.replace(/…+$/u, "")].at(-1) ?? "";
  const first = [...after][0] ?? "";
  if (!before || !after || PUNCTUATION.test(last) || PUNCTUATION.test(first) || first === "…") return "";
  return UNSPACED.test(first) && (!last || UNSPACED.test(last)) ? "" : " ";
}

/** The elements of words with what stands between them. */
export function spaced(words: readonly HTMLElement[]): (HTMLElement | string)[] {
  return words.flatMap((word, at) => (at ? [gap(words[at - 1]!.textContent, word.textContent), word] : [word]));
}
