// One polite line at the foot of the page for what was done, read out by screen readers.

import { el } from "./dom";

const STAYS_MS = 5000;
let line: HTMLElement | null = null;
let timer: ReturnType<typeof setTimeout> | undefined;

export function say(text: string): void {
  if (!line) {
    line = el("p.toast", { role: "status" });
    document.body.append(line);
  }
  line.textContent = text;
  line.classList.add("shown");
  clearTimeout(timer);
  timer = setTimeout(() => line?.classList.remove("shown"), STAYS_MS);
}
