// <call-notes>: marks ("look here") and notes of a call, each with its moment. Everybody who watches sees them at once.

import { el, need } from "../page/dom";
import { duration, fragment, momentOf } from "../page/format";
import { get, send, words } from "../page/http";
import { say } from "../page/say";
import type { Call, Note } from "../page/scheme";
import { shortcuts } from "../page/shortcuts";

export class CallNotes extends HTMLElement {
  private notes: Note[] = [];

  connectedCallback(): void {
    this.hidden = false;
    need(this, "[data-mark]").addEventListener("click", () => void this.add("mark", ""));
    const form = need<HTMLFormElement>(this, "form");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const field = need<HTMLInputElement>(form, "[name=text]");
      const text = field.value.trim();
      if (text) void this.add("note", text).then((kept) => kept && form.reset());
    });
    document.addEventListener("notes-changed", () => void this.load());
    shortcuts(
      { key: "m", does: "Mark this moment", act: () => void this.add("mark", "") },
      { key: "n", does: "Write a note at this moment", act: () => need<HTMLInputElement>(form, "[name=text]").focus() },
    );
    void this.load();
  }

  private get address(): string {
    return `/api/calls/${this.dataset.call}`;
  }

  /** Where "now" is: the player's place, or how far the running call has come. */
  private now(): number {
    const review = document.querySelector<HTMLElement>("call-review[data-ready]");
    const live = document.querySelector<HTMLElement>("[data-live-call]");
    return Math.round(Number(review?.dataset.positionMs ?? live?.dataset.positionMs ?? momentOf(location.hash) ?? 0));
  }

  private async load(): Promise<void> {
    const call = await get<Call>(this.address).catch(() => null);
    if (!call) return;
    this.notes = call.notes ?? [];
    this.draw();
  }

  private async add(kind: Note["kind"], text: string): Promise<boolean> {
    const at_ms = this.now();
    try {
      const note = await send<Note>("POST", `${this.address}/notes`, { kind, at_ms, text });
      this.keep(note);
      say(kind === "mark" ? `Marked ${duration(at_ms)}` : `Noted at ${duration(at_ms)}`);
      return true;
    } catch (error) {
      say(words(error));
      return false;
    }
  }

  private keep(note: Note): void {
    this.notes = [...this.notes.filter((old) => old.id !== note.id), note].sort((a, b) => a.at_ms - b.at_ms || a.id - b.id);
    this.draw();
  }

  private async change(note: Note, text: string): Promise<void> {
    try {
      this.keep(await send<Note>("PATCH", `${this.address}/notes/${note.id}`, { text }));
    } catch (error) {
      say(words(error));
    }
  }

  private async drop(note: Note): Promise<void> {
    try {
      await send("DELETE", `${this.address}/notes/${note.id}`);
      this.notes = this.notes.filter((old) => old.id !== note.id);
      this.draw();
    } catch (error) {
      say(words(error));
    }
  }

  private draw(): void {
    need(this, "[data-notes]").replaceChildren(...this.notes.map((note) => this.item(note)));
    document.dispatchEvent(new CustomEvent("notes-drawn", { detail: this.notes }));
  }

  private item(note: Note): HTMLLIElement {
    const text = note.text || (note.kind === "mark" ? "Marked" : "");
    const item = el(
      "li.note",
      { "data-note": note.id },
      el("a.figure", { href: fragment(note.at_ms), title: "Listen from here" }, duration(note.at_ms)),
      el("p", { class: note.text ? "" : "soft" }, text, " ", el("span.small.soft", {}, note.by)),
      this.mayChange(note) && el(
        "p.row",
        {},
        el("button.link", { type: "button", onclick: () => this.edit(item, note) }, note.text ? "Change" : "Write"),
        el("button.link", { type: "button", "aria-label": `Remove what was noted at ${duration(note.at_ms)}`, onclick: () => void this.drop(note) }, "Remove"),
      ),
    );
    return item;
  }

  private mayChange(note: Note): boolean {
    return this.dataset.changes === "all" || note.by === this.dataset.me;
  }

  private edit(item: HTMLLIElement, note: Note): void {
    const field = el("input", { name: "text", value: note.text, maxlength: 4000, "aria-label": `Note at ${duration(note.at_ms)}` });
    const form = el("form.inline", {}, field, el("button.button.quiet", {}, "Keep"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (field.value.trim()) void this.change(note, field.value.trim());
      else this.draw();
    });
    field.addEventListener("keydown", (event) => event.key === "Escape" && this.draw());
    item.replaceChildren(form);
    field.focus();
  }
}

customElements.define("call-notes", CallNotes);
