// The waveform of both parties on a canvas, the agent above and the technician below. It works as a slider, with pointer
// and keys. docs/dependencies.md explains why this is not wavesurfer.js.

import { duration } from "../page/format";
import type { Role, Turn } from "../page/api_types";
import { columns, type Peaks } from "./peaks";

const BAR_PX = 2;
const GAP_PX = 1;
const LANES: readonly Role[] = ["agent", "technician"];
const KEY_STEPS: Record<string, number> = { ArrowLeft: -5000, ArrowDown: -5000, ArrowRight: 5000, ArrowUp: 5000, PageDown: -30_000, PageUp: 30_000 };

/** `end_ms` null: to the end of the call. */
export interface Shaded {
  readonly start_ms: number;
  readonly end_ms: number | null;
  readonly label: string;
}

export class Waveform {
  readonly canvas = document.createElement("canvas");
  private peaks: Peaks | null = null;
  private turns: readonly Turn[] = [];
  private marks: readonly number[] = [];
  private shaded: readonly Shaded[] = [];
  private total = 1;
  private at = 0;
  private hover: number | null = null;
  private bars: Map<Role, number[]> | null = null;
  private scheduled = false;

  constructor(private readonly seek: (ms: number) => void) {
    const canvas = this.canvas;
    canvas.className = "waveform";
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "slider");
    canvas.setAttribute("aria-label", "Position in the call");
    canvas.setAttribute("aria-valuemin", "0");
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.seek(this.msAt(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      this.hover = this.msAt(event);
      if (canvas.hasPointerCapture(event.pointerId)) this.seek(this.hover);
      this.scheduleDraw();
    });
    canvas.addEventListener("pointerleave", () => {
      this.hover = null;
      this.scheduleDraw();
    });
    canvas.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.changed()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.scheduleDraw());
  }

  /** Set what to draw. Without peaks, turns are drawn as blocks. */
  show(peaks: Peaks | null, turns: readonly Turn[], totalMs: number): void {
    this.peaks = peaks;
    this.turns = turns;
    this.total = Math.max(1, totalMs);
    this.canvas.setAttribute("aria-valuemax", String(Math.round(this.total / 1000)));
    this.changed();
    this.moveTo(this.at);
  }

  mark(marks: readonly number[]): void {
    this.marks = marks;
    this.scheduleDraw();
  }

  /** Silent stretches: the recording was paused, or they are redacted. */
  shade(shaded: readonly Shaded[]): void {
    this.shaded = shaded;
    this.scheduleDraw();
  }

  moveTo(ms: number): void {
    this.at = ms;
    this.canvas.setAttribute("aria-valuenow", String(Math.round(ms / 1000)));
    this.canvas.setAttribute("aria-valuetext", `${duration(ms)} of ${duration(this.total)}`);
    this.scheduleDraw();
  }

  private msAt(event: PointerEvent): number {
    const box = this.canvas.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * this.total;
  }

  private key(event: KeyboardEvent): void {
    const to = event.key === "Home" ? 0 : event.key === "End" ? this.total : null;
    const step = KEY_STEPS[event.key];
    if (to === null && step === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    this.seek(Math.min(this.total, Math.max(0, to ?? this.at + step!)));
  }

  private changed(): void {
    this.bars = null;
    this.scheduleDraw();
  }

  private scheduleDraw(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    requestAnimationFrame(() => {
      this.scheduled = false;
      this.draw();
    });
  }

  private draw(): void {
    const { canvas } = this;
    const ratio = devicePixelRatio || 1;
    const [wide, high] = [canvas.clientWidth, canvas.clientHeight];
    const context = canvas.getContext("2d");
    if (!wide || !high || !context) return;
    if (canvas.width !== Math.round(wide * ratio) || canvas.height !== Math.round(high * ratio)) {
      canvas.width = Math.round(wide * ratio);
      canvas.height = Math.round(high * ratio);
      this.bars = null;
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, wide, high);
    const colours = getComputedStyle(canvas);
    const played = (this.at / this.total) * wide;
    this.drawShaded(context, colours, wide, high);
    LANES.forEach((role, lane) => {
      const middle = (high / 4) * (1 + 2 * lane);
      context.fillStyle = colours.getPropertyValue(`--${role}`);
      if (this.peaks) this.drawBars(context, role, middle, high / 4 - 2, wide, played);
      else this.drawBlocks(context, role, middle, wide, played);
    });
    context.globalAlpha = 1;
    context.fillStyle = colours.getPropertyValue("--warn");
    for (const mark of this.marks) context.fillRect((mark / this.total) * wide - 1, 0, 2, high);
    context.fillStyle = colours.getPropertyValue("--ink");
    context.fillRect(Math.min(wide - 2, played), 0, 2, high);
    if (this.hover !== null) this.drawHover(context, colours, wide, high);
  }

  private drawBars(context: CanvasRenderingContext2D, role: Role, middle: number, room: number, wide: number, played: number): void {
    const heights = this.barsOf(role, Math.floor(wide / (BAR_PX + GAP_PX)));
    heights.forEach((height, at) => {
      const x = at * (BAR_PX + GAP_PX);
      const half = Math.max(0.5, Math.sqrt(height) * room);
      context.globalAlpha = x <= played ? 1 : 0.42;
      context.fillRect(x, middle - half, BAR_PX, 2 * half);
    });
  }

  private barsOf(role: Role, count: number): number[] {
    this.bars ??= new Map();
    const cached = this.bars.get(role);
    if (cached?.length === count) return cached;
    const channels = this.peaks?.channels ?? [];
    const channel = channels.find((one) => one.role === role) ?? channels.find((one) => one.role === null);
    const bars = columns(channel?.peaks ?? [], this.peaks?.per_second ?? 1, 0, this.total, count);
    this.bars.set(role, bars);
    return bars;
  }

  private drawBlocks(context: CanvasRenderingContext2D, role: Role, middle: number, wide: number, played: number): void {
    for (const turn of this.turns) {
      if (turn.role !== role) continue;
      const x = (turn.start_ms / this.total) * wide;
      context.globalAlpha = x <= played ? 0.9 : 0.42;
      context.fillRect(x, middle - 6, Math.max(2, ((turn.end_ms - turn.start_ms) / this.total) * wide), 12);
    }
  }

  private drawShaded(context: CanvasRenderingContext2D, colours: CSSStyleDeclaration, wide: number, high: number): void {
    context.fillStyle = colours.getPropertyValue("--warn");
    context.font = `12px ${colours.fontFamily}`;
    context.textBaseline = "middle";
    for (const { start_ms, end_ms, label } of this.shaded) {
      const x = (start_ms / this.total) * wide;
      const width = Math.max(2, ((end_ms ?? this.total) / this.total) * wide - x);
      context.globalAlpha = 0.2;
      context.fillRect(x, 0, width, high);
      context.globalAlpha = 1;
      if (context.measureText(label).width + 8 < width) context.fillText(label, x + 4, high / 2);
    }
    context.textBaseline = "alphabetic";
  }

  private drawHover(context: CanvasRenderingContext2D, colours: CSSStyleDeclaration, wide: number, high: number): void {
    const x = ((this.hover ?? 0) / this.total) * wide;
    context.globalAlpha = 0.6;
    context.fillStyle = colours.getPropertyValue("--ink-soft");
    context.fillRect(x, 0, 1, high);
    context.globalAlpha = 1;
    context.font = `12px ${colours.fontFamily}`;
    const text = duration(this.hover);
    const room = context.measureText(text).width;
    context.fillText(text, x + room + 10 > wide ? x - room - 5 : x + 5, 12);
  }
}
