// Plays a call: one file, or both files of a live layer in parallel. Positions are on the call's clock.
// Media elements read the audio with range requests; no file is loaded as a whole.

import type { Layer, Role } from "../page/api_types";

export type LayerChoice = "cloud" | "live_16k" | "live_8k";
export type PartyChoice = "both" | Role;

const DRIFT_S = 0.06;

/** The files to play for a choice; empty if there are none. */
export function filesFor(layers: readonly Layer[], choice: LayerChoice, party: PartyChoice): string[] {
  const urls = (layer: Layer["layer"], role: Role | null) => layers.filter((one) => one.layer === layer && one.role === role).map((one) => one.url);
  if (choice === "cloud") {
    const whole = urls("cloud", null).slice(0, 1);
    return party === "both" ? whole : urls("cloud_channel", party).slice(0, 1);
  }
  const roles: Role[] = party === "both" ? ["agent", "technician"] : [party];
  return roles.flatMap((role) => urls(choice, role).slice(0, 1));
}

/** The playable layers of a call, best first. */
export function playableLayers(layers: readonly Layer[]): LayerChoice[] {
  return (["cloud", "live_16k", "live_8k"] as const).filter((choice) => filesFor(layers, choice, "both").length > 0);
}

export class Player {
  private offset = 0;
  private second: HTMLAudioElement | null = null;
  private pendingSeek: number | null = null;
  private rate = 1;

  /** `first` is in the page; a second element is created for layers of two files. */
  constructor(
    readonly first: HTMLAudioElement,
    private readonly onMove: () => void,
  ) {
    first.preload = "none"; // each request for audio is a playback in the audit trail
    for (const kind of ["timeupdate", "play", "pause", "ended", "seeked", "ratechange", "durationchange"]) first.addEventListener(kind, () => this.sync());
    first.addEventListener("loadedmetadata", () => this.applySeek());
  }

  /** Switch to these files, keeping position and playback. `offsetMs` is where they start in the call. */
  load(urls: readonly string[], offsetMs: number): void {
    const [position, playing] = [this.positionMs, this.playing];
    this.offset = offsetMs;
    this.second?.pause();
    this.second = urls[1] ? new Audio(urls[1]) : null;
    if (this.second) this.second.preload = "none";
    if (urls[0] && this.first.getAttribute("src") !== urls[0]) this.first.src = urls[0];
    this.seek(position);
    this.setRate(this.rate);
    if (playing) this.play();
  }

  get playing(): boolean {
    return !this.first.paused && !this.first.ended;
  }

  get positionMs(): number {
    return this.pendingSeek ?? this.first.currentTime * 1000 + this.offset;
  }

  seek(ms: number): void {
    this.pendingSeek = Math.max(0, ms);
    if (this.first.readyState >= HTMLMediaElement.HAVE_METADATA) this.applySeek();
    this.onMove();
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

  private applySeek(): void {
    if (this.pendingSeek === null) return;
    const seconds = Math.max(0, (this.pendingSeek - this.offset) / 1000);
    this.pendingSeek = null;
    for (const audio of this.audios) audio.currentTime = seconds;
    this.sync();
  }

  // The second file follows the first: both files of a layer start at the same time.
  private sync(): void {
    const { first, second } = this;
    if (second) {
      if (Math.abs(second.currentTime - first.currentTime) > DRIFT_S && second.readyState >= HTMLMediaElement.HAVE_METADATA) second.currentTime = first.currentTime;
      if (this.playing && second.paused) void second.play().catch(() => undefined);
      if (!this.playing && !second.paused) second.pause();
    }
    this.onMove();
  }
}
