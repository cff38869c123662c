// <call-review>: listen to a call, read what was said where it is said, and correct it.
// Without script the template's plain player and transcript stand here.

import { el, need } from "../page/dom";
import { duration, fragment, momentOf } from "../page/format";
import { ApiError, get, getIfThere, send, words } from "../page/http";
import { say } from "../page/say";
import type { Call, Change, Note, Revision, Role } from "../page/scheme";
import { shortcuts } from "../page/shortcuts";
import { localTime } from "../page/times";
import { choices, Deck, filesFor, type Heard, type LayerChoice } from "./deck";
import { agreement, rowsOf, type Difference, type Piece, type Row } from "./difference";
import { behindSilence, density, silences, type Peaks, type Stretch } from "./peaks";
import { changeInWords, TurnList } from "./turns";
import { Waveform } from "./waveform";

const SPEEDS = [0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 3];
const LAYER_NAMES: Record<LayerChoice, string> = { cloud: "Cloud", live_16k: "Live, 16 kHz", live_8k: "Live, 8 kHz" };

export class CallReview extends HTMLElement {
  private call: Call | null = null;
  private deck: Deck | null = null;
  private layer: LayerChoice = "cloud";
  private heard: Heard = "both";
  private quiet: Stretch[] = [];
  private skip = false;
  private frame = 0;
  private readonly waveform = new Waveform((ms) => this.deck?.seek(ms));
  private final!: TurnList;
  private live!: TurnList;
  private machine!: TurnList;
  private readonly leaving = new AbortController();

  connectedCallback(): void {
    void this.start();
  }

  disconnectedCallback(): void {
    this.leaving.abort();
    cancelAnimationFrame(this.frame);
  }

  private get names(): Record<Role, string> {
    return { agent: this.dataset.agent || "Agent", technician: this.dataset.technician || "Technician" };
  }

  private get address(): string {
    return `/api/calls/${this.dataset.call}`;
  }

  private async start(): Promise<void> {
    const audio = this.querySelector<HTMLAudioElement>("audio[data-main-audio]");
    const call = await get<Call>(`${this.address}?words=true`).catch(() => null);
    const layer = call && choices(call.layers)[0];
    if (!audio || !call || !layer || !this.isConnected) return;
    this.final = new TurnList({ names: this.names, correct: (changes) => this.correct(changes) });
    this.live = new TurnList({ names: this.names, correct: null });
    this.machine = new TurnList({ names: this.names, correct: null });
    this.call = call;
    this.layer = layer;
    audio.controls = false;
    audio.hidden = true;
    this.deck = new Deck(audio, () => this.moved());
    need(this, "[data-player]").append(...this.playerParts(choices(call.layers)));
    this.drawTranscripts();
    this.waveform.mark((call.notes ?? []).map((note) => note.at_ms)); // those that come later are told
    this.load();
    this.keys();
    this.listen();
    this.dataset.ready = "";
    if (call.turns.length) document.getElementById("was-live")?.setAttribute("hidden", ""); // it is one of our views
    this.goToHash(false);
  }

  private listen(): void {
    const { signal } = this.leaving;
    document.addEventListener("click", (event) => this.clicked(event), { signal });
    window.addEventListener("hashchange", () => this.goToHash(true), { signal });
    document.addEventListener("transcript-changed", () => void this.corrected(), { signal });
    document.addEventListener("notes-drawn", (event) => this.waveform.mark((event as CustomEvent<Note[]>).detail.map((note) => note.at_ms)), { signal });
  }

  // The player

  private playerParts(layers: LayerChoice[]): Node[] {
    const option = (value: string | number, text: string, selected = false) => el("option", { value, selected }, text);
    const play = el("button.button.play", { type: "button", "data-play": "", "aria-label": "Play", onclick: () => this.toggle() }, "▶");
    const speed = el("select", { "data-speed": "", onchange: () => this.deck?.setRate(Number(speed.value)) }, ...SPEEDS.map((rate) => option(rate, `${rate}×`, rate === 1)));
    const heard = el("select", { "data-heard": "" }, option("both", "Both parties", true), option("agent", `${this.names.agent} only`), option("technician", `${this.names.technician} only`));
    heard.addEventListener("change", () => this.hear(heard.value as Heard));
    const layer = el("select", { "data-layer": "" }, ...layers.map((one) => option(one, LAYER_NAMES[one])));
    layer.addEventListener("change", () => {
      this.layer = layer.value as LayerChoice;
      this.load();
    });
    const skip = el("input", { type: "checkbox", "data-skip": "", onchange: () => (this.skip = skip.checked) });
    return [
      this.waveform.canvas,
      el(
        "div.controls",
        {},
        play,
        el("p.figure.place", {}, el("span", { "data-place": "" }, "0:00"), el("span.soft", {}, " / ", el("span", { "data-total": "" }, duration(this.call?.duration_ms)))),
        el("label", {}, "Speed ", speed),
        el("label", {}, "Hear ", heard),
        el("label", {}, "Layer ", layer),
        el("label.check", {}, skip, " Skip silence"),
        el("button.link", { type: "button", "data-copy": "", onclick: () => void this.copyLink() }, "Copy link to here"),
      ),
    ];
  }

  private load(): void {
    const { call, deck } = this;
    if (!call || !deck) return;
    let files = filesFor(call.layers, this.layer, this.heard);
    if (!files.length) {
      this.heard = "both";
      need<HTMLSelectElement>(this, "[data-heard]").value = "both";
      files = filesFor(call.layers, this.layer, "both");
      say("This layer has no file of one party alone");
    }
    deck.load(files, this.layer === "cloud" ? 0 : call.live_offset_ms);
    void this.loadPeaks();
  }

  private async loadPeaks(): Promise<void> {
    const [call, layer] = [this.call!, this.layer];
    const fileMs = Math.max(0, ...call.layers.filter((one) => one.layer === layer).map((one) => one.duration_ms));
    const offset = layer === "cloud" ? 0 : call.live_offset_ms;
    const totalMs = Math.max(fileMs + offset, 1);
    this.waveform.show(null, call.turns.length ? call.turns : call.live_turns, totalMs);
    need(this, "[data-total]").textContent = duration(totalMs);
    const query = `layer=${layer}&per_second=${density(fileMs)}`;
    const peaks = await getIfThere<Peaks>(`${this.address}/peaks?${query}`, this.leaving.signal).catch(() => null);
    if (!peaks || layer !== this.layer) return;
    const shifted = { ...peaks, channels: peaks.channels.map((one) => ({ ...one, peaks: shift(one.peaks, offset, peaks.per_second) })), duration_ms: totalMs };
    this.quiet = silences(shifted);
    this.waveform.show(shifted, call.turns, totalMs);
  }

  private toggle(): void {
    if (this.deck?.playing) this.deck.pause();
    else this.deck?.play();
  }

  private hear(heard: Heard): void {
    this.heard = heard;
    need<HTMLSelectElement>(this, "[data-heard]").value = heard;
    this.load();
  }

  private moved(): void {
    cancelAnimationFrame(this.frame);
    const tick = () => {
      this.show();
      if (this.deck?.playing) this.frame = requestAnimationFrame(tick);
    };
    tick();
  }

  private show(): void {
    const deck = this.deck!;
    const at = deck.positionMs;
    const beyond = this.skip && deck.playing ? behindSilence(this.quiet, at) : null;
    if (beyond !== null) return deck.seek(beyond);
    this.dataset.positionMs = String(Math.round(at));
    need(this, "[data-place]").textContent = duration(at);
    this.waveform.moveTo(at);
    const play = need(this, "[data-play]");
    if (play.dataset.playing !== String(deck.playing)) {
      play.dataset.playing = String(deck.playing);
      play.setAttribute("aria-label", deck.playing ? "Pause" : "Play");
      play.textContent = deck.playing ? "❚❚" : "▶";
    }
    const begun = this.final.follow(at, deck.playing);
    this.live.follow(at, deck.playing);
    this.machine.follow(at, deck.playing);
    if (begun && !inView(begun)) begun.scrollIntoView({ block: "center" });
  }

  private clicked(event: MouseEvent): void {
    const target = event.target as Element;
    const link = target.closest<HTMLAnchorElement>('a[href^="#t="]');
    const word = link ? null : target.closest<HTMLElement>(".word[data-start-ms]");
    const at = link ? momentOf(link.getAttribute("href") ?? "") : word ? Number(word.dataset.startMs) : null;
    if (at === null || event.detail > 1) return;
    event.preventDefault();
    history.replaceState(null, "", fragment(at));
    this.deck?.seek(at);
    this.deck?.play();
  }

  private goToHash(play: boolean): void {
    const at = momentOf(location.hash);
    if (at === null) return;
    this.deck?.seek(at);
    if (play) this.deck?.play();
  }

  private async copyLink(): Promise<void> {
    const address = location.origin + location.pathname + fragment(this.deck?.positionMs ?? 0);
    history.replaceState(null, "", fragment(this.deck?.positionMs ?? 0));
    try {
      await navigator.clipboard.writeText(address);
      say("The link to this moment is copied");
    } catch {
      say("The address bar now has the link to this moment");
    }
  }

  private keys(): void {
    const by = (ms: number) => () => this.deck?.seek(this.deck.positionMs + ms);
    const turn = (step: 1 | -1) => () => {
      const to = this.final.neighbour(this.deck?.positionMs ?? 0, step);
      if (to !== null) this.deck?.seek(to);
    };
    shortcuts(
      { key: " ", does: "Play or pause", act: () => this.toggle() },
      { key: "ArrowLeft", does: "Back 5 seconds", act: by(-5000) },
      { key: "ArrowRight", does: "On 5 seconds", act: by(5000) },
      { key: "[", does: "To the turn before", act: turn(-1) },
      { key: "]", does: "To the next turn", act: turn(1) },
      { key: "1", does: `Hear ${this.names.agent} only`, act: () => this.hear("agent") },
      { key: "2", does: `Hear ${this.names.technician} only`, act: () => this.hear("technician") },
      { key: "0", does: "Hear both parties", act: () => this.hear("both") },
      { key: "s", does: "Skip silence, or not", act: () => need(this, "[data-skip]").click() },
      { key: "e", does: "Correct the turn that is played", act: () => this.final.editAt(this.deck?.positionMs ?? 0) },
      { key: "d", does: "Live and final text side by side, or the final alone", act: () => void this.view(this.dataset.shown === "both" ? "final" : "both") },
      { key: "y", does: "Copy a link to this moment", act: () => void this.copyLink() },
    );
  }

  // The transcripts

  private drawTranscripts(): void {
    const call = this.call!;
    const box = need(this, "[data-turns]");
    if (!call.turns.length) return;
    const radio = (value: string, text: string) =>
      el("label.tab", {}, el("input", { type: "radio", name: "view", value, checked: value === "final", onchange: () => void this.view(value) }), text);
    box.replaceChildren(
      el("fieldset.tabs", {}, el("legend.visually-hidden", {}, "Which transcript"), radio("final", "Final"), radio("live", "Live"), radio("both", "Side by side"), radio("machine", "Before corrections")),
      el("p.small.soft", { "data-revision": "" }),
      el("details.history", { "data-history": "", hidden: true, ontoggle: () => void this.drawHistory() }, el("summary", {}, "What was corrected"), el("ol.corrections")),
      el("div", { "data-view": "final" }, this.final.list),
      el("div", { "data-view": "live", hidden: true }, call.live_turns.length ? this.live.list : el("p.soft", {}, "Nobody was heard while the call went on.")),
      el("div", { "data-view": "both", hidden: true }),
      el("div", { "data-view": "machine", hidden: true }, this.machine.list),
    );
    this.dataset.shown = "final";
    this.fill();
  }

  private fill(): void {
    const { turns, live_turns, revision } = this.call!;
    this.final.show(turns);
    this.live.show(live_turns);
    const line = need(this, "[data-revision]");
    line.textContent = revision ? `Corrected by ${revision.by}, ${localTime(revision.at)} (revision ${revision.number}); what the engine wrote is kept.` : "As the engine wrote it. Double-click a word, or use Correct, to set it right.";
    for (const part of [need(this, "[data-history]"), need(this, "input[value=machine]").parentElement!]) part.hidden = !revision;
    void this.drawHistory();
  }

  private async view(which: string): Promise<void> {
    this.dataset.shown = which;
    for (const part of this.querySelectorAll<HTMLElement>("[data-view]")) part.hidden = part.dataset.view !== which;
    const radio = this.querySelector<HTMLInputElement>(`input[name=view][value=${which}]`);
    if (radio) radio.checked = true;
    if (which === "both") await this.drawDifference();
    if (which === "machine") await this.drawMachine();
  }

  private async drawMachine(): Promise<void> {
    const call = await get<Call>(`${this.address}?words=true&machine=true`).catch(() => null);
    this.machine.show(call?.machine_turns ?? []);
  }

  private async drawHistory(): Promise<void> {
    const box = need<HTMLDetailsElement>(this, "[data-history]");
    if (!box.open || box.hidden) return;
    const answer = await getIfThere<{ revisions: Revision[] }>(`${this.address}/revisions`).catch(() => null);
    need(box, "ol").replaceChildren(...(answer?.revisions ?? []).map((one) => this.revision(one)));
  }

  private revision(one: Revision): HTMLLIElement {
    const said = one.changes.map((change) => el("li", {}, changeInWords(change, this.names)));
    return el("li", {}, el("p", {}, el("strong", {}, `${one.number}`), ` ${one.by}, ${localTime(one.at)}`), el("ul", {}, ...said));
  }

  private async drawDifference(): Promise<void> {
    const box = need(this, '[data-view="both"]');
    const answer = await getIfThere<{ difference: Difference[] }>(`${this.address}/difference`).catch(() => null);
    if (!answer) return box.replaceChildren(el("p.soft", {}, "The two transcripts cannot be compared now."));
    const share = agreement(answer.difference);
    box.replaceChildren(
      el("p.small.soft", {}, share === null ? "There are no words to compare." : `${Math.round(share * 100)} % of the words were right while the call went on.`),
      el(
        "table.difference",
        {},
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Live"), el("th", { scope: "col" }, "Final"))),
        el("tbody", {}, ...rowsOf(answer.difference).map((row) => this.row(row))),
      ),
    );
  }

  private row(row: Row): HTMLTableRowElement {
    const at = el("a.figure", { href: fragment(row.start_ms) }, duration(row.start_ms));
    return el(
      `tr.${row.role}`,
      {},
      el("td", {}, el("span.party", {}, this.names[row.role]), " ", at, el("p.text", {}, ...pieces(row.live, "del"))),
      el("td", {}, el("p.text", {}, ...pieces(row.final, "ins"))),
    );
  }

  private async correct(changes: Change[]): Promise<void> {
    const base = this.call?.revision?.number ?? 0;
    try {
      const made = await send<{ number: number }>("POST", `${this.address}/revisions`, { base, changes });
      say(`Corrected; this is revision ${made.number}`);
    } catch (error) {
      const late = error instanceof ApiError && error.status === 409;
      say(late ? "Somebody else corrected this meanwhile. The newest text is shown now; look again." : words(error));
      if (!late) return;
    }
    await this.reload();
  }

  // Somebody's correction, perhaps our own. Who is writing one keeps the text that it is about.
  private async corrected(): Promise<void> {
    if (this.querySelector("form.correction, .word-edit")) return say("Somebody corrected this call just now");
    await this.reload();
  }

  private async reload(): Promise<void> {
    const call = await get<Call>(`${this.address}?words=true`).catch(() => null);
    if (!call || call.revision?.number === this.call?.revision?.number) return;
    this.call = call;
    this.fill();
    if (this.dataset.shown === "both") await this.drawDifference();
  }
}

function pieces(list: readonly Piece[], mark: "ins" | "del"): (Node | string)[] {
  return list.flatMap((piece) => {
    const spans = piece.words.flatMap((word) => [el("span.word", { "data-start-ms": word.start_ms }, word.text), " "]);
    return piece.same ? spans : [el(mark, {}, ...spans.slice(0, -1)), " "];
  });
}

function shift(peaks: number[], offsetMs: number, perSecond: number): number[] {
  const by = Math.round((offsetMs * perSecond) / 1000);
  return by >= 0 ? [...new Array<number>(by).fill(0), ...peaks] : peaks.slice(-by);
}

function inView(item: Element): boolean {
  const box = item.getBoundingClientRect();
  return box.top > 160 && box.bottom < innerHeight;
}

customElements.define("call-review", CallReview);
