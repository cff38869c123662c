// Selected calls of the list, and changing all of them at once, with progress and undo.

import { required } from "../page/dom";
import { count } from "../page/format";
import { errorMessage, send } from "../page/http";
import { addShortcuts } from "../page/shortcuts";

type Kind = "label" | "unlabel" | "review" | "unreview" | "assign" | "hold" | "release";

interface Change {
  change: Kind;
  label_id?: number;
  person?: string | null;
  reason?: string;
}

interface Outcome {
  changed: { call_id: string; assigned_before: string | null }[];
  unchanged: string[];
  refused: Record<string, string>;
}

/** A request that is answered within about a second. */
const CALLS_AT_ONCE = 25;
const INVERSE: Record<Kind, Kind> = { label: "unlabel", unlabel: "label", review: "unreview", unreview: "review", assign: "assign", hold: "release", release: "hold" };
const UNDO_REASON = "placed by mistake, undone at once";

/** What takes back `done`: one change for each earlier assignee, else one for all calls. */
export function undoing(change: Change, done: Outcome["changed"]): [Change, string[]][] {
  if (change.change !== "assign") return [[{ ...change, change: INVERSE[change.change], reason: change.change === "hold" ? UNDO_REASON : undefined }, done.map((one) => one.call_id)]];
  const before = new Map<string | null, string[]>();
  for (const one of done) before.set(one.assigned_before, [...(before.get(one.assigned_before) ?? []), one.call_id]);
  return [...before].map(([person, ids]) => [{ change: "assign", person }, ids]);
}

/** `3 calls changed, 1 as before, 1 refused: The call is held already.` */
export function summary({ changed, unchanged, refused }: Outcome): string {
  const reasons = Object.values(refused);
  const parts = [`${count(changed.length, "call")} changed`];
  if (unchanged.length) parts.push(`${unchanged.length} as before`);
  if (reasons.length) parts.push(`${reasons.length} refused: ${reasons[0]}`);
  return parts.join(", ");
}

/** Let people select calls in `rows`; `changed` draws the list again. */
export function followSelection(root: HTMLElement, rows: HTMLElement, changed: () => void): void {
  const bar = required(root, "[data-bulk]");
  const progress = required(bar, "[data-progress]");
  const undo = required<HTMLButtonElement>(bar, "[data-undo]");
  const selected = new Set<string>();
  let undone: [Change, string[]][] = [];
  const boxes = () => [...rows.querySelectorAll<HTMLInputElement>("[data-pick]")];
  const value = (name: string) => bar.querySelector<HTMLInputElement | HTMLSelectElement>(`[name=${name}]`)?.value.trim() ?? "";

  function draw(): void {
    required(bar, "[data-count]").textContent = selected.size ? `${count(selected.size, "call")} selected` : "";
    bar.hidden = !selected.size && !undone.length;
    undo.hidden = !undone.length;
    for (const button of bar.querySelectorAll<HTMLButtonElement>("[data-do]")) button.disabled = !selected.size;
  }

  function select(box: HTMLInputElement, on: boolean): void {
    box.checked = on;
    if (on) selected.add(box.dataset.pick!);
    else selected.delete(box.dataset.pick!);
  }

  /** After the rows were drawn again: those that are gone are no longer selected. */
  function follow(): void {
    const shown = new Set(boxes().map((box) => box.dataset.pick));
    for (const id of selected) if (!shown.has(id)) selected.delete(id);
    for (const box of boxes()) box.checked = selected.has(box.dataset.pick!);
    draw();
  }

  function wanted(kind: Kind): Change | null {
    if (kind === "label" || kind === "unlabel") return { change: kind, label_id: Number(value("bulk_label")) };
    if (kind === "assign") return { change: kind, person: value("bulk_person") || null };
    if (kind !== "hold") return { change: kind };
    const reason = value("bulk_reason");
    if (!reason) required<HTMLInputElement>(bar, "[name=bulk_reason]").focus();
    return reason ? { change: kind, reason } : null;
  }

  async function run(changes: [Change, string[]][]): Promise<Outcome> {
    const all: Outcome = { changed: [], unchanged: [], refused: {} };
    const total = changes.reduce((sum, [, ids]) => sum + ids.length, 0);
    let sent = 0;
    try {
      for (const [change, ids] of changes) {
        for (let at = 0; at < ids.length; at += CALLS_AT_ONCE) {
          const calls = ids.slice(at, at + CALLS_AT_ONCE);
          const outcome = await send<Outcome>("POST", "/api/v1/calls/bulk", { ...change, calls });
          all.changed.push(...outcome.changed);
          all.unchanged.push(...outcome.unchanged);
          Object.assign(all.refused, outcome.refused);
          sent += calls.length;
          progress.textContent = `${sent} of ${total}`;
        }
      }
      progress.textContent = summary(all);
    } catch (error) {
      progress.textContent = `${all.changed.length ? `${summary(all)}. ` : ""}${errorMessage(error)}`;
    }
    changed();
    return all;
  }

  async function apply(kind: Kind): Promise<void> {
    const change = wanted(kind);
    if (!change || !selected.size) return;
    bar.inert = true;
    const outcome = await run([[change, [...selected]]]);
    undone = outcome.changed.length ? undoing(change, outcome.changed) : [];
    bar.inert = false;
    draw();
  }

  async function takeBack(): Promise<void> {
    const changes = undone;
    undone = [];
    bar.inert = true;
    await run(changes);
    bar.inert = false;
    if (!selected.size) root.querySelector<HTMLElement>(".call .who a")?.focus();
    draw();
  }

  rows.addEventListener("change", (event) => {
    const box = event.target;
    if (!(box instanceof HTMLInputElement) || !box.dataset.pick) return;
    select(box, box.checked);
    draw();
  });
  bar.addEventListener("click", (event) => {
    const button = (event.target as Element).closest("button");
    if (!button) return;
    const kind = button.dataset.do;
    if (kind) return void apply(kind as Kind);
    if (button === undo) return void takeBack();
    if ("none" in button.dataset) {
      undone = [];
      progress.textContent = "";
    }
    for (const box of boxes()) select(box, "all" in button.dataset);
    draw();
  });
  const focused = () => boxes().find((box) => box.closest(".call")?.contains(document.activeElement));
  addShortcuts({
    key: "x",
    label: "Select the focused call, or not",
    run: () => {
      const box = focused();
      if (box) select(box, !box.checked);
      draw();
    },
  });
  new MutationObserver(follow).observe(rows, { childList: true, subtree: true });
  root.toggleAttribute("data-picking", true);
  follow();
}
