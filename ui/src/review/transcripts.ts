// The transcripts of a call under its player: final, live, side by side, and before corrections; and correcting them.

import type { Call, Change, Revision } from "../page/api_types";
import { el, required, roleNames } from "../page/dom";
import { duration, fragment } from "../page/format";
import { ApiError, errorMessage, get, getOrNull, send } from "../page/http";
import { localTime } from "../page/times";
import { toast } from "../page/toast";
import { gap, spaced } from "../page/words";
import { agreement, rowsOf, type Difference, type Piece, type Row } from "./difference";
import { describeChange, TurnList } from "./turns";

export class Transcripts {
  private readonly names: Record<"agent" | "technician", string>;
  private readonly final: TurnList;
  private readonly live: TurnList;
  private readonly machine: TurnList;

  /** Draws into `[data-turns]` of `root`, the <call-review>. `onEdit` is called when a person starts to edit. */
  constructor(
    private readonly root: HTMLElement,
    private readonly address: string,
    private readonly original: string,
    private call: Call,
    onEdit: () => void,
  ) {
    this.names = roleNames(root);
    // Originals are for reading: a correction is made to the redacted text.
    this.final = new TurnList({ names: this.names, correct: original ? null : (changes) => this.correct(changes), onEdit });
    this.live = new TurnList({ names: this.names, correct: null });
    this.machine = new TurnList({ names: this.names, correct: null });
    if (call.turns.length) this.draw();
  }

  /** Highlight what is spoken at `ms`, and scroll to a turn that starts. */
  follow(ms: number, playing: boolean): void {
    const started = this.final.follow(ms, playing);
    this.live.follow(ms, playing);
    this.machine.follow(ms, playing);
    if (started && !isInView(started)) started.scrollIntoView({ block: "center" });
  }

  neighbour(ms: number, step: 1 | -1): number | null {
    return this.final.neighbour(ms, step);
  }

  editAt(ms: number): void {
    this.final.editAt(ms);
  }

  toggleDifference(): void {
    void this.view(this.root.dataset.shown === "both" ? "final" : "both");
  }

  /** A correction was saved, perhaps by this page. An open editor keeps the text that it is about. */
  async changedElsewhere(): Promise<void> {
    if (this.root.querySelector("form.correction, .word-edit")) return toast("Someone just corrected this call");
    await this.reload();
  }

  private draw(): void {
    const tab = (value: string, text: string) =>
      el("label.tab", {}, el("input", { type: "radio", name: "view", value, checked: value === "final", onchange: () => void this.view(value) }), text);
    required(this.root, "[data-turns]").replaceChildren(
      el("fieldset.tabs", {}, el("legend.visually-hidden", {}, "Transcript"), tab("final", "Final"), tab("live", "Live"), tab("both", "Side by side"), tab("machine", "Before corrections")),
      el("p.small.soft", { "data-revision": "" }),
      el("details.history", { "data-history": "", hidden: true, ontoggle: () => void this.drawHistory() }, el("summary", {}, "Corrections"), el("ol.corrections")),
      el("div", { "data-view": "final" }, this.final.list),
      el("div", { "data-view": "live", hidden: true }, this.call.live_turns.length ? this.live.list : el("p.soft", {}, "No speech was detected during the call.")),
      el("div", { "data-view": "both", hidden: true }),
      el("div", { "data-view": "machine", hidden: true }, this.machine.list),
    );
    this.root.dataset.shown = "final";
    this.fill();
  }

  private fill(): void {
    const { turns, live_turns, revision } = this.call;
    this.final.show(turns);
    this.live.show(live_turns);
    const line = required(this.root, "[data-revision]");
    line.textContent = revision ? `Corrected by ${revision.by}, ${localTime(revision.at)} (revision ${revision.number}). The original is kept.` : "Not corrected. Double-click a word or use Correct to edit.";
    for (const part of [required(this.root, "[data-history]"), required(this.root, "input[value=machine]").parentElement!]) part.hidden = !revision;
    void this.drawHistory();
  }

  private async view(which: string): Promise<void> {
    this.root.dataset.shown = which;
    for (const part of this.root.querySelectorAll<HTMLElement>("[data-view]")) part.hidden = part.dataset.view !== which;
    const tab = this.root.querySelector<HTMLInputElement>(`input[name=view][value=${which}]`);
    if (tab) tab.checked = true;
    if (which === "both") await this.drawDifference();
    if (which === "machine") await this.drawMachine();
  }

  private async drawMachine(): Promise<void> {
    const call = await get<Call>(`${this.address}?words=true&machine=true${this.original}`).catch(() => null);
    this.machine.show(call?.machine_turns ?? []);
  }

  private async drawHistory(): Promise<void> {
    const box = required<HTMLDetailsElement>(this.root, "[data-history]");
    if (!box.open || box.hidden) return;
    const history = await getOrNull<{ revisions: Revision[] }>(`${this.address}/revisions?${this.original}`).catch(() => null);
    required(box, "ol").replaceChildren(...(history?.revisions ?? []).map((one) => this.revisionItem(one)));
  }

  private revisionItem({ number, by, at, changes }: Revision): HTMLLIElement {
    const items = changes.map((change) => el("li", {}, describeChange(change, this.names)));
    return el("li", {}, el("p", {}, el("strong", {}, `${number}`), ` ${by}, ${localTime(at)}`), el("ul", {}, ...items));
  }

  private async drawDifference(): Promise<void> {
    const box = required(this.root, '[data-view="both"]');
    const found = await getOrNull<{ difference: Difference[] }>(`${this.address}/difference?${this.original}`).catch(() => null);
    if (!found) return box.replaceChildren(el("p.soft", {}, "The transcripts cannot be compared at the moment."));
    const share = agreement(found.difference);
    box.replaceChildren(
      el("p.small.soft", {}, share === null ? "There are no words to compare." : `The live and final transcripts agree on ${Math.round(share * 100)}% of the words.`),
      el(
        "table.difference",
        {},
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Live"), el("th", { scope: "col" }, "Final"))),
        el("tbody", {}, ...rowsOf(found.difference).map((row) => this.differenceRow(row))),
      ),
    );
  }

  private differenceRow(row: Row): HTMLTableRowElement {
    const at = el("a.figure", { href: fragment(row.start_ms) }, duration(row.start_ms));
    return el(
      `tr.${row.role}`,
      {},
      el("td", {}, el("span.party", {}, this.names[row.role]), " ", at, el("p.text", {}, ...words(row.live, "del"))),
      el("td", {}, el("p.text", {}, ...words(row.final, "ins"))),
    );
  }

  private async correct(changes: Change[]): Promise<void> {
    const base = this.call.revision?.number ?? 0;
    try {
      const { number } = await send<{ number: number }>("POST", `${this.address}/revisions`, { base, changes });
      toast(`Saved as revision ${number}`);
    } catch (error) {
      const conflict = error instanceof ApiError && error.status === 409;
      toast(conflict ? "Someone else corrected this call first. The latest text is shown; please check it and try again." : errorMessage(error));
      if (!conflict) return;
    }
    await this.reload();
  }

  private async reload(): Promise<void> {
    const call = await get<Call>(`${this.address}?words=true${this.original}`).catch(() => null);
    if (!call || call.revision?.number === this.call.revision?.number) return;
    this.call = call;
    this.fill();
    if (this.root.dataset.shown === "both") await this.drawDifference();
  }
}

function words(pieces: readonly Piece[], mark: "ins" | "del"): (Node | string)[] {
  let before = "";
  return pieces.flatMap((piece) => {
    const spans = spaced(piece.words.map((word) => el("span.word", { "data-start-ms": word.start_ms }, word.text)));
    const space = gap(before, piece.words[0]?.text ?? "");
    before = piece.words.at(-1)?.text ?? before;
    return [space, ...(piece.same ? spans : [el(mark, {}, ...spans)])];
  });
}

function isInView(item: Element): boolean {
  const box = item.getBoundingClientRect();
  return box.top > 160 && box.bottom < innerHeight;
}
