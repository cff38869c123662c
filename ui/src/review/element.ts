// <call-review>: play a call, read its transcript in step with the audio, and correct it.
// Without JavaScript the template's plain player and transcript are shown instead.

import type { Call, Note } from "../page/api_types";
import { el, required, roleNames } from "../page/dom";
import { duration, fragment, positionOf } from "../page/format";
import { backoffMs } from "../page/events";
import { get, getOrNull, isTemporary } from "../page/http";
import { sleep } from "../page/refresh";
import { addShortcuts } from "../page/shortcuts";
import { toast } from "../page/toast";
import { endOfSilence, peaksPerSecond, silences, type Peaks, type Stretch } from "./peaks";
import { filesFor, playableLayers, Player, type LayerChoice, type PartyChoice } from "./player";
import { Transcripts } from "./transcripts";
import { Waveform } from "./waveform";

const SPEEDS = [0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 3];
const SPEED_KEY = "callreel.speed";
const LAYER_NAMES: Record<LayerChoice, string> = { cloud: "Cloud", live_16k: "Live, 16 kHz", live_8k: "Live, 8 kHz" };

export class CallReview extends HTMLElement {
  private call: Call | null = null;
  private player: Player | null = null;
  private layer: LayerChoice = "cloud";
  private party: PartyChoice = "both";
  private quiet: Stretch[] = [];
  private skipSilence = false;
  private frame = 0;
  private readonly waveform = new Waveform((ms) => this.player?.seek(ms));
  private transcripts!: Transcripts;
  private readonly disconnected = new AbortController();

  connectedCallback(): void {
    void this.start();
  }

  disconnectedCallback(): void {
    this.disconnected.abort();
    cancelAnimationFrame(this.frame);
  }

  private get address(): string {
    return `/api/v1/calls/${this.dataset.call}`;
  }

  /** What the queries of a page with originals have in addition. */
  private get original(): string {
    return this.dataset.original === undefined ? "" : "&original=true";
  }

  private async start(): Promise<void> {
    const audio = this.querySelector<HTMLAudioElement>("audio[data-main-audio]");
    const call = await this.fetchCall();
    const layer = call && playableLayers(call.layers)[0];
    if (!audio || !call || !layer || !this.isConnected) return;
    this.call = call;
    this.layer = layer;
    audio.controls = false;
    audio.hidden = true;
    this.player = new Player(audio, () => this.moved());
    required(this, "[data-player]").append(...this.playerParts(playableLayers(call.layers)));
    this.setSpeed(storedSpeed());
    this.transcripts = new Transcripts(this, this.address, this.original, call, () => this.player?.pause());
    this.waveform.mark((call.notes ?? []).map((note) => note.at_ms)); // later ones arrive as events
    const silent = call.redaction.redactions.filter((one) => !one.removed_at);
    this.waveform.shade([
      ...call.pauses.flatMap(({ start_ms, end_ms }) => (start_ms === null ? [] : [{ start_ms, end_ms, label: "Paused" }])),
      ...silent.map(({ start_ms, end_ms }) => ({ start_ms, end_ms, label: "Redacted" })),
    ]);
    this.load();
    this.addKeys();
    this.addListeners();
    this.dataset.ready = "";
    if (call.turns.length) document.getElementById("live-history")?.setAttribute("hidden", ""); // this element shows it too
    this.goToFragment(false);
  }

  /** Null if there is none to show. A busy server is asked again: the page is to end as it would open later. */
  private async fetchCall(): Promise<Call | null> {
    for (let failures = 0; this.isConnected; failures++) {
      try {
        return await get<Call>(`${this.address}?words=true${this.original}`);
      } catch (error) {
        if (!isTemporary(error)) return null;
      }
      await sleep(backoffMs(failures));
    }
    return null;
  }

  private addListeners(): void {
    const { signal } = this.disconnected;
    document.addEventListener("click", (event) => this.clicked(event), { signal });
    window.addEventListener("hashchange", () => this.goToFragment(true), { signal });
    document.addEventListener("transcript-changed", () => void this.transcripts.changedElsewhere(), { signal });
    document.addEventListener("notes-drawn", (event) => this.waveform.mark((event as CustomEvent<Note[]>).detail.map((note) => note.at_ms)), { signal });
  }

  private playerParts(layers: LayerChoice[]): Node[] {
    const names = roleNames(this);
    const option = (value: string | number, text: string, selected = false) => el("option", { value, selected }, text);
    const play = el("button.button.play", { type: "button", "data-play": "", "aria-label": "Play", onclick: () => this.toggle() }, "▶");
    const speed = el("select", { "data-speed": "", onchange: () => this.setSpeed(Number(speed.value)) }, ...SPEEDS.map((rate) => option(rate, `${rate}×`, rate === 1)));
    const party = el("select", { "data-party": "" }, option("both", "Both parties", true), option("agent", `${names.agent} only`), option("technician", `${names.technician} only`));
    party.addEventListener("change", () => this.chooseParty(party.value as PartyChoice));
    const layer = el("select", { "data-layer": "" }, ...layers.map((one) => option(one, LAYER_NAMES[one])));
    layer.addEventListener("change", () => {
      this.layer = layer.value as LayerChoice;
      this.load();
    });
    const skip = el("input", { type: "checkbox", "data-skip": "", onchange: () => (this.skipSilence = skip.checked) });
    return [
      this.waveform.canvas,
      el(
        "div.controls",
        {},
        play,
        el("p.figure.position", {}, el("span", { "data-shown-position": "" }, "0:00"), el("span.soft", {}, " / ", el("span", { "data-total": "" }, duration(this.call?.duration_ms)))),
        el("label", {}, "Speed ", speed),
        el("label", {}, "Play ", party),
        el("label", {}, "Layer ", layer),
        el("label.check", {}, skip, " Skip silence"),
        el("button.link", { type: "button", "data-copy": "", onclick: () => void this.copyLink() }, "Copy link to here"),
      ),
    ];
  }

  private load(): void {
    const { call, player } = this;
    if (!call || !player) return;
    let files = filesFor(call.layers, this.layer, this.party);
    if (!files.length) {
      this.party = "both";
      required<HTMLSelectElement>(this, "[data-party]").value = "both";
      files = filesFor(call.layers, this.layer, "both");
      toast("This layer has no recording of a single party");
    }
    player.load(files, this.layer === "cloud" ? 0 : call.live_offset_ms);
    void this.loadPeaks();
  }

  private async loadPeaks(): Promise<void> {
    const [call, layer] = [this.call!, this.layer];
    const fileMs = Math.max(0, ...call.layers.filter((one) => one.layer === layer).map((one) => one.duration_ms));
    const offset = layer === "cloud" ? 0 : call.live_offset_ms;
    const totalMs = Math.max(fileMs + offset, 1);
    this.waveform.show(null, call.turns.length ? call.turns : call.live_turns, totalMs);
    required(this, "[data-total]").textContent = duration(totalMs);
    const query = `layer=${layer}&per_second=${peaksPerSecond(fileMs)}${this.original}`;
    const peaks = await getOrNull<Peaks>(`${this.address}/peaks?${query}`, this.disconnected.signal).catch(() => null);
    if (!peaks || layer !== this.layer) return;
    const shifted = { ...peaks, channels: peaks.channels.map((one) => ({ ...one, peaks: shift(one.peaks, offset, peaks.per_second) })), duration_ms: totalMs };
    this.quiet = silences(shifted);
    this.waveform.show(shifted, call.turns, totalMs);
  }

  private toggle(): void {
    if (this.player?.playing) this.player.pause();
    else this.player?.play();
  }

  private chooseParty(party: PartyChoice): void {
    this.party = party;
    required<HTMLSelectElement>(this, "[data-party]").value = party;
    this.load();
  }

  private setSpeed(speed: number): void {
    this.player?.setRate(speed);
    required<HTMLSelectElement>(this, "[data-speed]").value = String(speed);
    storeSpeed(speed);
  }

  private changeSpeed(step: 1 | -1): void {
    const current = SPEEDS.indexOf(Number(required<HTMLSelectElement>(this, "[data-speed]").value));
    const speed = SPEEDS[current + step];
    if (speed === undefined) return;
    this.setSpeed(speed);
    toast(`Speed ${speed}×`);
  }

  private moved(): void {
    cancelAnimationFrame(this.frame);
    const tick = () => {
      this.drawPosition();
      if (this.player?.playing) this.frame = requestAnimationFrame(tick);
    };
    tick();
  }

  private drawPosition(): void {
    const player = this.player!;
    const at = player.positionMs;
    const resumeAt = this.skipSilence && player.playing ? endOfSilence(this.quiet, at) : null;
    if (resumeAt !== null) return player.seek(resumeAt);
    this.dataset.positionMs = String(Math.round(at));
    required(this, "[data-shown-position]").textContent = duration(at);
    this.waveform.moveTo(at);
    const play = required(this, "[data-play]");
    if (play.dataset.playing !== String(player.playing)) {
      play.dataset.playing = String(player.playing);
      play.setAttribute("aria-label", player.playing ? "Pause" : "Play");
      play.textContent = player.playing ? "❚❚" : "▶";
    }
    this.transcripts?.follow(at, player.playing);
  }

  private clicked(event: MouseEvent): void {
    const target = event.target as Element;
    const link = target.closest<HTMLAnchorElement>('a[href^="#t="]');
    const word = link ? null : target.closest<HTMLElement>(".word[data-start-ms]");
    const at = link ? positionOf(link.getAttribute("href") ?? "") : word ? Number(word.dataset.startMs) : null;
    if (at === null || event.detail > 1) return;
    event.preventDefault();
    history.replaceState(null, "", fragment(at));
    this.player?.seek(at);
    this.player?.play();
  }

  private goToFragment(play: boolean): void {
    const at = positionOf(location.hash);
    if (at === null) return;
    this.player?.seek(at);
    if (play) this.player?.play();
  }

  private async copyLink(): Promise<void> {
    const here = fragment(this.player?.positionMs ?? 0);
    history.replaceState(null, "", here);
    try {
      await navigator.clipboard.writeText(location.origin + location.pathname + here);
      toast("Link copied");
    } catch {
      toast("The link is in the address bar");
    }
  }

  private addKeys(): void {
    const names = roleNames(this);
    const position = () => this.player?.positionMs ?? 0;
    const by = (ms: number) => () => this.player?.seek(position() + ms);
    const toTurn = (step: 1 | -1) => () => {
      const to = this.transcripts.neighbour(position(), step);
      if (to !== null) this.player?.seek(to);
    };
    addShortcuts(
      { key: " ", label: "Play or pause", run: () => this.toggle() },
      { key: "ArrowLeft", label: "Back 5 seconds", run: by(-5000) },
      { key: "ArrowRight", label: "Forward 5 seconds", run: by(5000) },
      { key: "[", label: "Previous turn", run: toTurn(-1) },
      { key: "]", label: "Next turn", run: toTurn(1) },
      { key: "<", label: "Slower", run: () => this.changeSpeed(-1) },
      { key: ">", label: "Faster", run: () => this.changeSpeed(1) },
      { key: "1", label: `Play ${names.agent.toLowerCase()} only`, run: () => this.chooseParty("agent") },
      { key: "2", label: `Play ${names.technician.toLowerCase()} only`, run: () => this.chooseParty("technician") },
      { key: "0", label: "Play both parties", run: () => this.chooseParty("both") },
      { key: "s", label: "Skip silence on or off", run: () => required(this, "[data-skip]").click() },
      { key: "e", label: "Correct the current turn", run: () => this.transcripts.editAt(position()) },
      { key: "d", label: "Compare live and final transcript", run: () => this.transcripts.toggleDifference() },
      { key: "y", label: "Copy a link to this moment", run: () => void this.copyLink() },
    );
  }
}

function shift(peaks: number[], offsetMs: number, perSecond: number): number[] {
  const by = Math.round((offsetMs * perSecond) / 1000);
  return by >= 0 ? [...new Array<number>(by).fill(0), ...peaks] : peaks.slice(-by);
}

function storedSpeed(): number {
  try {
    const speed = Number(localStorage.getItem(SPEED_KEY));
    return SPEEDS.includes(speed) ? speed : 1;
  } catch {
    return 1;
  }
}

function storeSpeed(speed: number): void {
  try {
    localStorage.setItem(SPEED_KEY, String(speed));
  } catch {
    // Storage is blocked: the speed lasts until the page is left.
  }
}

customElements.define("call-review", CallReview);
