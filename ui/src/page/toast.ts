// A short confirmation or error at the bottom of the page, also read by screen readers.

import { el } from "./dom";
import { errorMessage } from "./http";

const SHOWN_MS = 5000;
let line: HTMLElement | null = null;
let timer: ReturnType<typeof setTimeout> | undefined;

export function toast(text: string): void {
  if (!line) {
    line = el("p.toast", { role: "status" });
    document.body.append(line);
  }
  line.textContent = text;
  line.classList.add("shown");
  clearTimeout(timer);
  timer = setTimeout(() => line?.classList.remove("shown"), SHOWN_MS);
}

/** Do `request`, then show `done`, or the error. Whether it succeeded. */
export async function attempted(request: () => Promise<unknown>, done: string): Promise<boolean> {
  try {
    await request();
  } catch (error) {
    toast(errorMessage(error));
    return false;
  }
  toast(done);
  return true;
}
