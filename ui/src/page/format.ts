// Numbers and times as pages say them; the same rules as wording.py.

/** `1:23`, `1:02:03`; a dash when it is not known. */
export function duration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return "–";
  const whole = Math.floor(Math.max(0, ms) / 1000);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

const two = (n: number): string => String(n).padStart(2, "0");

/** `#t=12.3` for a moment of a call (W3C Media Fragments URI 1.0, in seconds). */
export function fragment(ms: number): string {
  return `#t=${(Math.max(0, ms) / 1000).toFixed(1)}`;
}

/** Milliseconds of a fragment, or null if it names no moment. `#t=1:02` is understood too, as people type it. */
export function momentOf(hash: string): number | null {
  const match = /^#t=(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d+)?)$/.exec(hash);
  if (!match) return null;
  const [, h = "0", m = "0", s = "0"] = match;
  return Math.round((Number(h) * 3600 + Number(m) * 60 + Number(s)) * 1000);
}

/** Decimal units, as file managers show them. */
export function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  let left = bytes;
  for (const unit of ["kB", "MB", "GB"]) {
    left /= 1000;
    if (left < 999.95) return `${left.toFixed(1)} ${unit}`;
  }
  return `${(left / 1000).toFixed(1)} TB`;
}

/** A short fact with a capital and a full stop. */
export function sentence(fact: string): string {
  if (!fact) return fact;
  return fact[0]!.toUpperCase() + fact.slice(1) + (/[.!?]$/.test(fact) ? "" : ".");
}

/** `1 call`, `2 calls`. */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
}

/** A number with the spaces of its country, as far as can be known here; others stay E.164. */
export function telephone(number: string): string {
  const [, area, exchange, line] = /^\+1(\d{3})(\d{3})(\d{4})$/.exec(number) ?? [];
  return area ? `+1 ${area}-${exchange}-${line}` : number;
}
