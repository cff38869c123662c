// A transcript whose words can be clicked to play them, with the spoken word highlighted, and turns that can be corrected.

import { el } from "../page/dom";
import { duration, fragment } from "../page/format";
import { ROLES, type Change, type Role, type Turn, type Word } from "../page/api_types";
import { spaced } from "../page/words";
import { lastIndexAt } from "./peaks";

/** Below this confidence a word or turn is marked. Of tiny.en's words it marks 6 %, and 59 % of the wrong ones (docs/words.md). */
const DOUBTFUL = 0.7;

export interface TurnsOptions {
  readonly names: Record<Role, string>;
  /** Null if this transcript cannot be corrected. */
  readonly correct: ((changes: Change[]) => Promise<void>) | null;
  /** A person starts to edit: playback should pause. */
  readonly onEdit?: () => void;
}

export class TurnList {
  readonly list = el("ol.turns");
  private turns: readonly Turn[] = [];
  private items: HTMLLIElement[] = [];
  private wordSpans: HTMLElement[][] = [];
  private starts: number[] = [];
  private nowTurn = -1;
  private nowWord: HTMLElement | null = null;

  constructor(private readonly options: TurnsOptions) {}

  show(turns: readonly Turn[]): void {
    this.turns = turns;
    this.starts = turns.map((turn) => turn.start_ms);
    this.wordSpans = [];
    this.nowTurn = -1;
    this.nowWord = null;
    this.items = turns.map((turn, at) => this.item(turn, at));
    this.list.replaceChildren(...this.items);
  }

  /** Highlight the turn and word spoken at `ms`. Returns the turn if a new one starts. */
  follow(ms: number, playing: boolean): HTMLLIElement | null {
    const at = lastIndexAt(this.starts, ms);
    const turn = this.turns[at];
    const spoken = playing && turn && ms < turn.end_ms + 500 ? at : -1;
    this.markWord(spoken < 0 ? null : this.wordAt(spoken, ms));
    if (spoken === this.nowTurn) return null;
    this.items[this.nowTurn]?.classList.remove("playing");
    this.nowTurn = spoken;
    this.items[spoken]?.classList.add("playing");
    return this.items[spoken] ?? null;
  }

  /** The start of the turn before or after `ms`. */
  neighbour(ms: number, step: 1 | -1): number | null {
    const at = lastIndexAt(this.starts, ms + 50);
    const inTurn = at >= 0 && ms - this.starts[at]! > 1500;
    return this.starts[step > 0 ? at + 1 : inTurn ? at : at - 1] ?? null;
  }

  /** Edit the turn with the focus, or else the one at `ms`. */
  editAt(ms: number): void {
    const focused = this.items.findIndex((item) => item.contains(document.activeElement));
    const at = focused >= 0 ? focused : Math.max(0, lastIndexAt(this.starts, ms));
    if (this.options.correct && this.turns[at]) this.editTurn(at);
  }

  private wordAt(turn: number, ms: number): HTMLElement | null {
    const words = this.turns[turn]?.words;
    if (!words?.length) return null;
    const at = lastIndexAt(words.map((word) => word.start_ms), ms);
    return this.wordSpans[turn]?.[at] ?? null;
  }

  private markWord(word: HTMLElement | null): void {
    if (word === this.nowWord) return;
    this.nowWord?.classList.remove("now");
    word?.classList.add("now");
    this.nowWord = word;
  }

  private item(turn: Turn, at: number): HTMLLIElement {
    const spans = (turn.words ?? []).map((word, number) => this.word(word, at, number));
    this.wordSpans[at] = spans;
    const text = spans.length ? spaced(spans) : [turn.text];
    const correct = this.options.correct && el("button.link.correct", { type: "button", title: "Correct this turn (E)", onclick: () => this.editTurn(at) }, "Correct");
    return el(
      `li.turn.${turn.role}`,
      { "data-role": turn.role, "data-start-ms": turn.start_ms, "data-end-ms": turn.end_ms },
      el("p.who", {}, el("span.party", {}, this.options.names[turn.role]), " ", el("a.figure", { href: fragment(turn.start_ms), title: "Play from here" }, el("span.visually-hidden", {}, "Play from "), duration(turn.start_ms))),
      el("div.said", {}, el("p.text", {}, ...text, confidenceNote(turn.confidence), fallbackEngine(turn.fallback_engine)), correct),
    );
  }

  private word(word: Word, turn: number, number: number): HTMLElement {
    const doubtful = word.confidence !== null && word.confidence < DOUBTFUL;
    const kind = word.entity ? "word masked" : doubtful ? "word doubtful" : "word";
    const span = el("span", { class: kind, "data-start-ms": word.start_ms, "data-end-ms": word.end_ms }, word.text);
    if (this.options.correct && !word.entity) span.addEventListener("dblclick", () => this.editWord(span, word, turn, number));
    return span;
  }

  private editWord(span: HTMLElement, word: Word, turn: number, number: number): void {
    this.options.onEdit?.();
    const field = el("input.word-edit", { value: word.text, "aria-label": `Correct the word “${word.text}”`, size: Math.max(4, word.text.length + 1) });
    let done = false;
    const finish = (save: boolean) => {
      if (done) return;
      done = true;
      const text = field.value.trim();
      field.replaceWith(span);
      if (save && text !== word.text) void this.options.correct?.([{ turn, word: number, text }]);
    };
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter") finish(true);
      if (event.key === "Escape") finish(false);
    });
    field.addEventListener("blur", () => finish(false));
    span.replaceWith(field);
    field.focus();
    field.select();
  }

  private editTurn(at: number): void {
    const [turn, item] = [this.turns[at], this.items[at]];
    if (!turn || !item || item.querySelector("form")) return;
    this.options.onEdit?.();
    const text = el("textarea", { name: "text", rows: 3, "aria-label": "What was said" });
    text.value = turn.text;
    const who = el("select", { name: "role", "aria-label": "Who said it" }, ...ROLES.map((role) => el("option", { value: role, selected: role === turn.role }, this.options.names[role])));
    const cancel = () => {
      this.items[at] = this.item(turn, at);
      form.closest("li")?.replaceWith(this.items[at]!);
      this.items[at]!.querySelector("button")?.focus();
    };
    const form = el("form.correction", {}, text, el("p.row", {}, who, el("button.button.quiet", {}, "Save"), el("button.link", { type: "button", onclick: cancel }, "Cancel")));
    form.addEventListener("keydown", (event) => {
      if (event.key === "Escape") cancel();
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const change = changeOf(turn, at, text.value, who.value as Role);
      if (change) void this.options.correct?.([change]);
      else cancel();
    });
    item.querySelector(".said")?.replaceChildren(form);
    text.focus();
  }
}

/** The change to send for an edited turn, or null if it is unchanged. */
export function changeOf(turn: Turn, at: number, text: string, role: Role): Change | null {
  const change: Change = { turn: at };
  if (text.trim().replace(/\s+/g, " ") !== turn.text) change.text = text.trim().replace(/\s+/g, " ");
  if (role !== turn.role) change.role = role;
  return change.text === undefined && change.role === undefined ? null : change;
}

/** A saved correction, as the history lists it. */
export function describeChange({ turn, word, text, role }: Change, names: Record<Role, string>): string {
  const place = word == null ? `Turn ${turn + 1}` : `Turn ${turn + 1}, word ${word + 1}`;
  const parts = text == null ? [] : [text ? `changed to “${text}”` : "deleted"];
  if (role) parts.push(`speaker changed to ${names[role].toLowerCase()}`);
  return `${place}: ${parts.join(", ")}`;
}

// Shown only for low confidence; doubtful words are underlined as well.
function confidenceNote(confidence: number | null): HTMLElement | null {
  return confidence === null || confidence >= DOUBTFUL ? null : el("span.confidence", { title: "Confidence of speech recognition" }, ` ${Math.round(confidence * 100)}%`);
}

function fallbackEngine(engine: string): HTMLElement | null {
  return engine ? el("span.confidence", { title: "Transcribed by the fallback engine, because the first one failed" }, ` by ${engine}`) : null;
}
