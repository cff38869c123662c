// A telephone number as it is typed: the server knows the rules of every country, this asks it and keeps the cursor.

import { sentence } from "../page/format";
import { send } from "../page/http";

export interface CheckedNumber {
  valid: boolean;
  e164: string | null;
  international: string | null;
  reason: string | null;
}

const WAIT_MS = 180;

/** Calls back with the newest answer only, after typing has paused. */
export class NumberCheck {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private asking: AbortController | null = null;

  constructor(private readonly answer: (checked: CheckedNumber | null) => void) {}

  typed(raw: string): void {
    clearTimeout(this.timer);
    this.asking?.abort();
    if (!raw.trim()) return this.answer(null);
    this.timer = setTimeout(() => void this.ask(raw), WAIT_MS);
  }

  private async ask(raw: string): Promise<void> {
    const asking = (this.asking = new AbortController());
    try {
      const checked = await check(raw, asking.signal);
      if (!asking.signal.aborted) this.answer(checked);
    } catch {
      if (!asking.signal.aborted) this.answer(plainCheck(raw));
    }
  }
}

export function check(raw: string, signal?: AbortSignal): Promise<CheckedNumber> {
  return send<CheckedNumber>("POST", "/api/numbers", { raw }, signal);
}

/** Without the server: only whether it has the shape of E.164. */
export function plainCheck(raw: string): CheckedNumber {
  const digits = raw.replace(/[\s().\/-]/g, "").replace(/^00/, "+");
  const valid = /^\+[1-9]\d{6,14}$/.test(digits);
  return { valid, e164: valid ? digits : null, international: null, reason: valid ? null : "Write the number with + and the code of its country." };
}

/** Where the cursor stands after `shown` replaced what was typed: before the same digits, since a code comes in front. */
export function cursorAfter(typed: string, cursor: number, shown: string): number {
  let digits = typed.slice(cursor).replace(/[^\d+]/g, "").length;
  let at = shown.length;
  while (at > 0 && digits > 0) if (/[\d+]/.test(shown[--at]!)) digits--;
  return at;
}

/** Why the number cannot be called, or the hint that stands there otherwise. */
export function showProblem(line: HTMLElement, checked: CheckedNumber | null): void {
  const reason = checked?.valid ? "" : sentence(checked?.reason ?? "");
  line.textContent = reason || (line.dataset.hint ?? "");
  line.classList.toggle("problem", Boolean(reason));
}
