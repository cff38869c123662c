// <call-listening>: plays a live call as it is recorded. On the page of a call (data-call) with a button and the key L; on the wall
// for the call whose *Listen* was chosen. One call at a time.

import { el } from "../page/dom";
import { duration } from "../page/format";
import { apiError, ApiError, errorMessage, get, unreachable } from "../page/http";
import { addShortcuts } from "../page/shortcuts";
import type { Call } from "../page/api_types";

const RATE_HZ = 8000;
/** Audio is played so long after it arrived, which hides the gaps between blocks. */
const LEAD_S = 0.3;
/** Blocks that arrive while so much waits to be played are skipped. */
const MOST_AHEAD_S = 1.5;

/** Mu-law to samples from -1 to 1 (ITU-T G.711), by code. */
const DECODED = Float32Array.from({ length: 256 }, (_, code) => {
  const inverted = ~code & 0xff;
  const magnitude = (((inverted & 0x0f) << 3) + 0x84) << ((inverted & 0x70) >> 4);
  return (inverted & 0x80 ? 0x84 - magnitude : magnitude - 0x84) / 32768;
});

export function decoded(codes: Uint8Array): Float32Array<ArrayBuffer> {
  return Float32Array.from(codes, (code) => DECODED[code]!);
}

export class CallListening extends HTMLElement {
  private request: AbortController | null = null;
  private readonly button = el("button.button.quiet", { type: "button", onclick: () => this.toggle() });
  private readonly state = el("p.small", { role: "status", "data-listening-state": "" });
  private readonly problem = el("p.notice", { role: "alert", hidden: true });
  private callId: string | null = null;
  private who = "";
  private over = false;
  /** Called when listening starts and ends. */
  changed: () => void = () => undefined;

  connectedCallback(): void {
    if (this.contains(this.button)) return;
    this.append(el("p.row", {}, this.button, this.state), this.problem);
    if (this.dataset.call) addShortcuts({ key: "l", label: "Listen to the live call", run: () => this.toggle(), when: () => this.isConnected && !this.button.hidden });
    this.draw();
  }

  disconnectedCallback(): void {
    this.stop();
  }

  /** The call that is listened to, null for none. */
  get listeningTo(): string | null {
    return this.request ? this.callId : null;
  }

  /** The call of this page is over. What plays now continues to its end, and an explanation stays. */
  end(): void {
    this.over = true;
    if (!this.request) this.draw();
  }

  /** `who` names the call where the page shows several. */
  async start(callId: string, who = ""): Promise<void> {
    this.stop();
    this.callId = callId;
    this.who = who;
    this.say("");
    const request = (this.request = new AbortController());
    const context = new AudioContext(); // within the click: browsers refuse sound otherwise
    this.draw("Connecting…");
    try {
      const response = await fetch(`/calls/${callId}/listen`, { signal: request.signal, headers: { Accept: "audio/basic, application/json" } }).catch(() => {
        throw unreachable();
      });
      if (!response.ok || !response.body) throw apiError(response.status, await response.text());
      await this.play(response.body.getReader(), context);
      if (this.request === request) await this.explainEnd(callId);
    } catch (error) {
      if (this.request === request) this.say(error instanceof ApiError ? errorMessage(error) : "The connection was lost. Listen again to continue.");
    } finally {
      void context.close();
      if (this.request === request) this.stop();
    }
  }

  stop(): void {
    this.request?.abort();
    this.request = null;
    this.draw();
  }

  private toggle(): void {
    if (this.request) this.stop();
    else if (this.callId ?? this.dataset.call) void this.start(this.dataset.call ?? this.callId!, this.who);
  }

  private async play(reader: ReadableStreamDefaultReader<Uint8Array>, context: AudioContext): Promise<void> {
    let at = 0;
    let received = 0;
    this.draw("Listening");
    for (;;) {
      const { done, value } = await reader.read();
      if (done || !this.request) return;
      received += value.length;
      this.dataset.receivedMs = String(Math.round((received * 1000) / RATE_HZ));
      this.state.textContent = `Listening${this.who && ` to ${this.who}`} for ${duration(Number(this.dataset.receivedMs))}`;
      if (at > context.currentTime + MOST_AHEAD_S || !value.length) continue;
      if (at < context.currentTime) at = context.currentTime + LEAD_S;
      const block = context.createBuffer(1, value.length, RATE_HZ);
      block.copyToChannel(decoded(value), 0);
      const source = new AudioBufferSourceNode(context, { buffer: block });
      source.connect(context.destination);
      source.start(at);
      at += block.duration;
    }
  }

  /** Why the server ended it: the call is over, or this person is signed out. Throws ApiError. */
  private async explainEnd(callId: string): Promise<void> {
    const { state } = await get<Call>(`/api/v1/calls/${callId}`);
    this.over = state !== "live";
    this.say(state === "live" ? "Listening ended: the recording of this call stopped." : "Listening ended: the call is over.");
  }

  private say(problem: string): void {
    if (this.problem.textContent !== problem) this.problem.textContent = problem;
    this.problem.hidden = !problem;
  }

  private draw(state = ""): void {
    const on = this.request !== null;
    this.button.hidden = !on && (!this.dataset.call || this.over);
    this.button.setAttribute("aria-pressed", String(on));
    this.button.replaceChildren(on ? "Stop listening" : "Listen", ...(this.dataset.call ? [" ", el("kbd", { "aria-hidden": "true" }, "L")] : []));
    this.state.textContent = state;
    if (!on) delete this.dataset.receivedMs;
    this.changed();
  }
}

customElements.define("call-listening", CallListening);
