// Numbers and times as text, by the same rules as wording.py.

/** `1:23`, `1:02:03`; a dash if unknown. */
export function duration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return "–";
  const whole = Math.floor(Math.max(0, ms) / 1000);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h ? `${h}:${padded(m)}:${padded(s)}` : `${m}:${padded(s)}`;
}

const padded = (n: number): string => String(n).padStart(2, "0");

/** `#t=12.3` for a position in a call (W3C Media Fragments URI 1.0, in seconds). */
export function fragment(ms: number): string {
  return `#t=${(Math.max(0, ms) / 1000).toFixed(1)}`;
}

/** The position in milliseconds that a fragment names, or null. Also accepts `#t=1:02`, as people type it. */
export function positionOf(hash: string): number | null {
  const match = /^#t=(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d+)?)$/.exec(hash);
  if (!match) return null;
  const [, h = "0", m = "0", s = "0"] = match;
  return Math.round((Number(h) * 3600 + Number(m) * 60 + Number(s)) * 1000);
}

/** Decimal units, as file managers show them. */
export function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  let amount = bytes;
  for (const unit of ["kB", "MB", "GB"]) {
    amount /= 1000;
    if (amount < 999.95) return `${amount.toFixed(1)} ${unit}`;
  }
  return `${(amount / 1000).toFixed(1)} TB`;
}

/** A short message as a sentence: with a capital letter and a full stop. */
export function sentence(message: string): string {
  if (!message) return message;
  return message[0]!.toUpperCase() + message.slice(1) + (/[.!?]$/.test(message) ? "" : ".");
}

/** `1 call`, `2 calls`. */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
}

/** What carriers send instead of a withheld number; `domain/caller.py` has the same list. */
const WITHHELD = /^\+?(anonymous|blocked|private|restricted|unavailable|unknown|withheld|266696687|2562533|7748283|7378742833|86282452253|8656696|94844353)?$/i;

export function isWithheld(number: string): boolean {
  return WITHHELD.test(number);
}

/** North American numbers with dashes; others stay in E.164. */
export function telephone(number: string): string {
  if (isWithheld(number)) return "Withheld number";
  const [, area, exchange, line] = /^\+1(\d{3})(\d{3})(\d{4})$/.exec(number) ?? [];
  return area ? `+1 ${area}-${exchange}-${line}` : number;
}
