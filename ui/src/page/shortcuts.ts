// Keys that work on a page, and the list of them behind `?`. Keys never act while somebody types.

import { el } from "./dom";

export interface Shortcut {
  readonly key: string;
  readonly does: string;
  readonly act: () => void;
}

const known: Shortcut[] = [];
const SPOKEN: Record<string, string> = { " ": "Space", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓" };

/** Add keys; a key that was there is replaced. */
export function shortcuts(...more: Shortcut[]): void {
  for (const one of more) {
    const at = known.findIndex((old) => old.key === one.key);
    if (at < 0) known.push(one);
    else known[at] = one;
  }
}

/** Whether a key press belongs to what has the focus rather than to the page. */
export function isTyping(target: EventTarget | null, key: string): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target.matches("input:not([type=checkbox], [type=radio]), textarea, select")) return true;
  if (target.closest("dialog")) return key !== "?";
  if ((key === " " || key === "Enter") && target.matches("button, a, summary, audio, input")) return true;
  return target.matches("audio, [role=slider]") && key.startsWith("Arrow");
}

export function startShortcuts(): void {
  shortcuts({ key: "?", does: "Show or hide this list", act: toggleHelp });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target, event.key)) return;
    const found = known.find((one) => one.key === event.key);
    if (!found) return;
    event.preventDefault();
    found.act();
  });
  for (const button of document.querySelectorAll("[data-shortcuts]")) {
    button.removeAttribute("hidden");
    button.addEventListener("click", toggleHelp);
  }
}

let help: HTMLDialogElement | null = null;

function toggleHelp(): void {
  help ??= document.body.appendChild(el("dialog.help", { "aria-labelledby": "help-title" }));
  if (help.open) return help.close();
  const rows = known.map((one) => el("div", {}, el("dt", {}, el("kbd", {}, SPOKEN[one.key] ?? one.key)), el("dd", {}, one.does)));
  help.replaceChildren(
    el("h2", { id: "help-title" }, "Keys"),
    el("dl.keys", {}, ...rows),
    el("form", { method: "dialog" }, el("button.button.quiet", {}, "Close")),
  );
  help.showModal();
}
