// What plays a call: one file, or the two files of a live layer side by side, on the call's clock.
// Only the media elements read audio, by Range; nothing here holds a file.

import type { Layer, Role } from "../page/scheme";

export type LayerChoice = "cloud" | "live_16k" | "live_8k";
export type Heard = "both" | Role;

const DRIFT_S = 0.06;

/** The files to play for a choice; empty where there are none. */
export function filesFor(layers: readonly Layer[], choice: LayerChoice, heard: Heard): string[] {
  const urls = (layer: Layer["layer"], role: Role | null) => layers.filter((one) => one.layer === layer && one.role === role).map((one) => one.url);
  if (choice === "cloud") {
    const whole = urls("cloud", null).slice(0, 1);
    return heard === "both" ? whole : urls("cloud_channel", heard).slice(0, 1);
  }
  const roles: Role[] = heard === "both" ? ["agent", "technician"] : [heard];
  return roles.flatMap((role) => urls(choice, role).slice(0, 1));
}

/** The layers of a call that can be played, best first. */
export function choices(layers: readonly Layer[]): LayerChoice[] {
  return (["cloud", "live_16k", "live_8k"] as const).filter((choice) => filesFor(layers, choice, "both").length > 0);
}

export class Deck {
  private offset = 0;
  private second: HTMLAudioElement | null = null;
  private wanted: number | null = null;
  private rate = 1;

  /** `first` keeps its place in the page; a second element comes and goes. */
  constructor(
    readonly first: HTMLAudioElement,
    private readonly moved: () => void,
  ) {
    first.preload = "metadata";
    for (const kind of ["timeupdate", "play", "pause", "ended", "seeked", "ratechange", "durationchange"]) first.addEventListener(kind, () => this.step());
    first.addEventListener("loadedmetadata", () => this.arrive());
  }

  /** Play these files from now on; the place and whether it plays stay. `offsetMs`: where they begin in the call. */
  load(urls: readonly string[], offsetMs: number): void {
    const [place, playing] = [this.positionMs, this.playing];
    this.offset = offsetMs;
    this.second?.pause();
    this.second = urls[1] ? new Audio(urls[1]) : null;
    if (this.second) this.second.preload = "metadata";
    if (urls[0] && this.first.getAttribute("src") !== urls[0]) this.first.src = urls[0];
    this.seek(place);
    this.setRate(this.rate);
    if (playing) this.play();
  }

  get playing(): boolean {
    return !this.first.paused && !this.first.ended;
  }

  get positionMs(): number {
    return this.wanted ?? this.first.currentTime * 1000 + this.offset;
  }

  /** Length of what is loaded, on the call's clock; 0 until it is known. */
  get endMs(): number {
    return Number.isFinite(this.first.duration) ? this.first.duration * 1000 + this.offset : 0;
  }

  seek(ms: number): void {
    this.wanted = Math.max(0, ms);
    if (this.first.readyState >= HTMLMediaElement.HAVE_METADATA) this.arrive();
    else if (this.first.networkState === HTMLMediaElement.NETWORK_IDLE || this.first.networkState === HTMLMediaElement.NETWORK_EMPTY) this.first.load();
    this.moved();
  }

  play(): void {
    void this.first.play().catch(() => undefined);
  }

  pause(): void {
    this.first.pause();
  }

  setRate(rate: number): void {
    this.rate = rate;
    for (const audio of this.audios) audio.playbackRate = audio.defaultPlaybackRate = rate;
  }

  private get audios(): HTMLAudioElement[] {
    return this.second ? [this.first, this.second] : [this.first];
  }

  private arrive(): void {
    if (this.wanted === null) return;
    const seconds = Math.max(0, (this.wanted - this.offset) / 1000);
    this.wanted = null;
    for (const audio of this.audios) audio.currentTime = seconds;
    this.step();
  }

  // The second file follows the first: two files of one layer begin together.
  private step(): void {
    const { first, second } = this;
    if (second) {
      if (Math.abs(second.currentTime - first.currentTime) > DRIFT_S && second.readyState >= HTMLMediaElement.HAVE_METADATA) second.currentTime = first.currentTime;
      if (this.playing && second.paused) void second.play().catch(() => undefined);
      if (!this.playing && !second.paused) second.pause();
    }
    this.moved();
  }
}
