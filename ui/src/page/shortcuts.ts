// Keyboard shortcuts of a page, and the list of them behind `?`. Shortcuts are ignored while a person types.

import { el } from "./dom";

export interface Shortcut {
  readonly key: string;
  readonly label: string;
  readonly run: () => void;
  /** Whether the key works now; without it, always. */
  readonly when?: () => boolean;
}

const registered: Shortcut[] = [];
const KEY_LABELS: Record<string, string> = { " ": "Space", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓" };

/** Add shortcuts; one with the same key and label is replaced. Of several with a key, one whose condition holds comes first. */
export function addShortcuts(...added: Shortcut[]): void {
  for (const shortcut of added) {
    const at = registered.findIndex((old) => old.key === shortcut.key && old.label === shortcut.label);
    if (at < 0) registered.push(shortcut);
    else registered[at] = shortcut;
  }
}

/** Whether a key press belongs to the focused element rather than to the page. */
export function isTyping(target: EventTarget | null, key: string): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target.matches("input:not([type=checkbox], [type=radio]), textarea, select")) return true;
  if (target.closest("dialog")) return key !== "?";
  if ((key === " " || key === "Enter") && target.matches("button, a, summary, audio, input")) return true;
  return target.matches("audio, [role=slider], [type=radio]") && key.startsWith("Arrow");
}

export function startShortcuts(): void {
  addShortcuts({ key: "?", label: "Show or hide this list", run: toggleHelp });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target, event.key)) return;
    const ours = registered.filter((one) => one.key === event.key && (one.when?.() ?? true));
    const shortcut = ours.find((one) => one.when) ?? ours[0];
    if (!shortcut) return;
    event.preventDefault();
    shortcut.run();
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
  const rows = registered.map((one) => el("div", {}, el("dt", {}, el("kbd", {}, KEY_LABELS[one.key] ?? one.key)), el("dd", {}, one.label)));
  help.replaceChildren(
    el("h2", { id: "help-title" }, "Keyboard shortcuts"),
    el("dl.keys", {}, ...rows),
    el("form", { method: "dialog" }, el("button.button.quiet", {}, "Close")),
  );
  help.showModal();
}
