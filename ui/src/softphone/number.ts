// Checks a phone number while it is typed. The server knows the numbering rules of every country; this formats its
// response in the field without moving the cursor.

import { sentence } from "../page/format";
import { send } from "../page/http";

export interface CheckedNumber {
  valid: boolean;
  e164: string | null;
  international: string | null;
  reason: string | null;
}

const DEBOUNCE_MS = 180;

/** Passes the latest result to `onResult`, after a pause in typing. */
export class NumberCheck {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private pending: AbortController | null = null;

  constructor(private readonly onResult: (checked: CheckedNumber | null) => void) {}

  typed(raw: string): void {
    clearTimeout(this.timer);
    this.pending?.abort();
    if (!raw.trim()) return this.onResult(null);
    this.timer = setTimeout(() => void this.check(raw), DEBOUNCE_MS);
  }

  private async check(raw: string): Promise<void> {
    const pending = (this.pending = new AbortController());
    try {
      const checked = await checkNumber(raw, pending.signal);
      if (!pending.signal.aborted) this.onResult(checked);
    } catch {
      if (!pending.signal.aborted) this.onResult(checkOffline(raw));
    }
  }
}

export function checkNumber(raw: string, signal?: AbortSignal): Promise<CheckedNumber> {
  return send<CheckedNumber>("POST", "/api/v1/numbers", { raw }, signal);
}

/** Without the server: only whether the number has the form of E.164. */
export function checkOffline(raw: string): CheckedNumber {
  const digits = raw.replace(/[\s().\/-]/g, "").replace(/^00/, "+");
  const valid = /^\+[1-9]\d{6,14}$/.test(digits);
  return { valid, e164: valid ? digits : null, international: null, reason: valid ? null : "Enter the number with + and its country code." };
}

/** The cursor position after `formatted` replaced the typed text: before the same digits, because a prefix may be added. */
export function cursorAfterFormatting(typed: string, cursor: number, formatted: string): number {
  let digits = typed.slice(cursor).replace(/[^\d+]/g, "").length;
  let at = formatted.length;
  while (at > 0 && digits > 0) if (/[\d+]/.test(formatted[--at]!)) digits--;
  return at;
}

/** Show the result of a check in `field` and `hint`: the formatted number, or why it cannot be called. */
export function showCheckedNumber(field: HTMLInputElement, hint: HTMLElement, checked: CheckedNumber | null): void {
  const reason = checked?.valid ? "" : sentence(checked?.reason ?? "");
  hint.textContent = reason || (hint.dataset.hint ?? "");
  hint.classList.toggle("problem", Boolean(reason));
  field.setAttribute("aria-invalid", String(Boolean(checked && !checked.valid)));
  const formatted = checked?.valid ? checked.international : null;
  if (!formatted || formatted === field.value) return;
  const cursor = cursorAfterFormatting(field.value, field.selectionStart ?? field.value.length, formatted);
  field.value = formatted;
  if (document.activeElement === field) field.setSelectionRange(cursor, cursor);
}
