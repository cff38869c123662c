// <call-notes>: marks and notes of a call, each at a position. All viewers of the call see them at once.

import type { Call, Note } from "../page/api_types";
import { el, required } from "../page/dom";
import { duration, fragment } from "../page/format";
import { errorMessage, get, isTemporary, send } from "../page/http";
import { currentPosition } from "../page/position";
import { addShortcuts } from "../page/shortcuts";
import { toast } from "../page/toast";

const RETRY_MS = 2000;

export class CallNotes extends HTMLElement {
  private notes: Note[] = [];
  /** Counts what `notes` was set from, so that a response that was overtaken is recognized. */
  private version = 0;

  connectedCallback(): void {
    required(this, "[data-mark]").addEventListener("click", () => void this.add("mark", ""));
    const form = required<HTMLFormElement>(this, "form");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const field = required<HTMLInputElement>(form, "[name=text]");
      const text = field.value.trim();
      if (text) void this.add("note", text).then((saved) => saved && form.reset());
    });
    document.addEventListener("notes-changed", () => void this.load());
    addShortcuts(
      { key: "m", label: "Mark this moment", run: () => void this.add("mark", "") },
      { key: "n", label: "Write a note at this moment", run: () => required<HTMLInputElement>(form, "[name=text]").focus() },
    );
    void this.load();
  }

  private get address(): string {
    return `/api/v1/calls/${this.dataset.call}`;
  }

  // Responses may arrive in another order than their requests, and after a change made here: only the newest one counts,
  // because an older one would remove a note until the next change.
  private async load(): Promise<void> {
    const version = ++this.version;
    try {
      const call = await get<Call>(this.address);
      if (version !== this.version) return;
      this.notes = call.notes ?? [];
      if (!this.querySelector("[data-notes] form")) this.draw(); // an open editor stays
    } catch (error) {
      if (isTemporary(error) && version === this.version) setTimeout(() => version === this.version && this.isConnected && void this.load(), RETRY_MS);
    }
  }

  /** Make a change, show its result at once, then load what others have changed meanwhile. */
  private async change<T>(request: () => Promise<T>, apply: (result: T) => Note[]): Promise<T | null> {
    try {
      const result = await request();
      this.show(apply(result));
      void this.load();
      return result;
    } catch (error) {
      toast(errorMessage(error));
      return null;
    }
  }

  private async add(kind: Note["kind"], text: string): Promise<boolean> {
    const at_ms = currentPosition();
    const note = await this.change(() => send<Note>("POST", `${this.address}/notes`, { kind, at_ms, text }), (added) => this.with(added));
    if (note) toast(kind === "mark" ? `Marked ${duration(at_ms)}` : `Note added at ${duration(at_ms)}`);
    return note !== null;
  }

  private edit(note: Note, text: string): void {
    void this.change(() => send<Note>("PATCH", `${this.address}/notes/${note.id}`, { text }), (edited) => this.with(edited));
  }

  private removeNote(note: Note): void {
    void this.change(() => send("DELETE", `${this.address}/notes/${note.id}`), () => this.without(note.id));
  }

  private with(note: Note): Note[] {
    return [...this.without(note.id), note].sort((a, b) => a.at_ms - b.at_ms || a.id - b.id);
  }

  private without(id: number): Note[] {
    return this.notes.filter((note) => note.id !== id);
  }

  private show(notes: Note[]): void {
    this.version++;
    this.notes = notes;
    this.draw();
  }

  private draw(): void {
    this.hidden = false; // only now: an empty card would grow and move what is below it
    const empty = el("li.soft.small", {}, "No notes yet.");
    required(this, "[data-notes]").replaceChildren(...(this.notes.length ? this.notes.map((note) => this.item(note)) : [empty]));
    document.dispatchEvent(new CustomEvent("notes-drawn", { detail: this.notes }));
  }

  private item(note: Note): HTMLLIElement {
    const text = note.text || (note.kind === "mark" ? "Marked" : "");
    const item = el(
      "li.note",
      { "data-note": note.id },
      el("a.figure", { href: fragment(note.at_ms), title: "Play from here" }, duration(note.at_ms)),
      el("p", { class: note.text ? "" : "soft" }, text, " ", el("span.small.soft", {}, note.by)),
      this.mayChange(note) && el(
        "p.row",
        {},
        el("button.link", { type: "button", onclick: () => this.openEditor(item, note) }, note.text ? "Edit" : "Add text"),
        el("button.link", { type: "button", "aria-label": `Remove the ${note.kind} at ${duration(note.at_ms)}`, onclick: () => this.removeNote(note) }, "Remove"),
      ),
    );
    return item;
  }

  private mayChange(note: Note): boolean {
    return this.dataset.changes === "all" || note.by === this.dataset.me;
  }

  private openEditor(item: HTMLLIElement, note: Note): void {
    const field = el("input", { name: "text", value: note.text, maxlength: 4000, "aria-label": `Note at ${duration(note.at_ms)}` });
    const form = el("form.inline", {}, field, el("button.button.quiet", {}, "Save"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (field.value.trim()) this.edit(note, field.value.trim());
      else this.draw();
    });
    field.addEventListener("keydown", (event) => event.key === "Escape" && this.draw());
    item.replaceChildren(form);
    field.focus();
  }
}

customElements.define("call-notes", CallNotes);
