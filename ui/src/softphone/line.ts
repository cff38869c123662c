// The connection to the carrier through the voice SDK, which is loaded on demand. Turns the SDK's events into SoftphoneEvents.

import type { Call, Device } from "@twilio/voice-sdk";
import { isAdministrator } from "../page/dom";
import { get, send } from "../page/http";
import { adviceText, warning } from "./errors";
import type { Leg } from "./leg";
import { allowPlainSocket } from "./simulator_socket";
import type { SoftphoneEvent } from "./state";

/** The response of /api/v1/softphone. */
export interface SoftphoneSettings {
  ready: boolean;
  missing: string[];
  identity: string | null;
  local: { signal_host: string } | null;
  /** Whether an agent may choose not to record a call. */
  may_skip_recording: boolean;
}

interface Token {
  token: string;
  ttl_s?: number;
}

export interface LineOptions {
  /** The simulated carrier on this computer, if the server uses one. */
  readonly local: SoftphoneSettings["local"];
  /** Send the microphone's audio without echo cancellation and noise reduction. */
  readonly unprocessed: boolean;
  readonly onEvent: (event: SoftphoneEvent) => void;
  readonly onLeg: (leg: Leg) => void;
  readonly nameOf: (number: string) => string;
}

const TOKEN_REFRESH_MS = 60_000;
const SOUNDS = ["incoming", "outgoing", "disconnect", ...[..."0123456789"].map((digit) => `dtmf${digit}`), "dtmfs", "dtmfh"];
const UNPROCESSED = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };

export async function softphoneSettings(): Promise<SoftphoneSettings> {
  return await get<SoftphoneSettings>("/api/v1/softphone");
}

/** This browser's phone line: one call at a time. */
export class Line {
  private device: Device | null = null;
  private call: Call | null = null;
  private failure = "";

  constructor(private readonly options: LineOptions) {}

  /** Load the SDK and register for incoming calls. */
  async open(): Promise<void> {
    const { local, unprocessed } = this.options;
    if (local) allowPlainSocket(local.signal_host);
    const [{ Device }, { token }] = await Promise.all([import("@twilio/voice-sdk"), newToken()]);
    const sounds = Object.fromEntries(SOUNDS.map((name) => [name, new URL(`/static/sounds/${name}.wav`, location.href).href]));
    const options = {
      appName: "callreel",
      closeProtection: "You are on a call. Leaving this page hangs up.",
      enableImprovedSignalingErrorPrecision: true,
      logLevel: "silent" as const,
      maxCallSignalingTimeoutMs: 30_000,
      sounds,
      tokenRefreshMs: TOKEN_REFRESH_MS,
      ...(local ? { chunderw: local.signal_host, publishEvents: false } : {}),
    };
    const device = new Device(token, options as unknown as Device.Options);
    this.device = device;
    device.on("registered", () => this.emit({ type: "registration", active: true }));
    device.on("unregistered", () => this.emit({ type: "registration", active: false }));
    device.on("incoming", (call: Call) => this.incoming(call));
    device.on("error", (error: { code?: number }, call?: Call) => this.failed(error.code, call));
    device.on("tokenWillExpire", () => void this.refreshToken());
    if (unprocessed) await device.audio?.setAudioConstraints(UNPROCESSED).catch(() => undefined);
    await device.register();
  }

  /** `options` are the parameters that the server understands: `Language`, and `Record`: `no`. */
  async dial(e164: string, party: string, options: Record<string, string> = {}): Promise<void> {
    if (!this.device || this.call) return;
    this.emit({ type: "dialled", party });
    try {
      this.follow(await this.device.connect({ params: { ...options, To: e164 }, ...this.constraints }));
    } catch (error) {
      this.emit({ type: "ended", note: failureText((error as { code?: number }).code) });
    }
  }

  accept(): void {
    this.call?.accept(this.constraints);
  }

  decline(): void {
    this.call?.reject();
  }

  hangUp(): void {
    if (this.call) this.call.disconnect();
    else this.device?.disconnectAll();
  }

  mute(active: boolean): void {
    this.call?.mute(active);
  }

  press(digit: string): void {
    this.call?.sendDigits(digit);
    this.emit({ type: "digit", digit });
  }

  close(): void {
    this.device?.destroy();
  }

  private get constraints(): { rtcConstraints?: MediaStreamConstraints } {
    return this.options.unprocessed ? { rtcConstraints: { audio: UNPROCESSED } } : {};
  }

  private emit(event: SoftphoneEvent): void {
    this.options.onEvent(event);
  }

  private incoming(call: Call): void {
    if (this.call) return call.reject();
    this.follow(call);
    this.emit({ type: "incoming", party: this.options.nameOf(call.parameters["From"] ?? "") });
  }

  private follow(call: Call): void {
    this.call = call;
    this.failure = "";
    call.on("ringing", () => {
      this.emit({ type: "ringing" });
      this.reportLeg(call);
    });
    call.on("accept", () => {
      this.emit({ type: "answered", at: Date.now() });
      this.reportLeg(call);
    });
    call.on("mute", (active: boolean) => this.emit({ type: "mute", active }));
    call.on("reconnecting", () => this.emit({ type: "reconnecting", active: true }));
    call.on("reconnected", () => this.emit({ type: "reconnecting", active: false }));
    call.on("warning", (name: string) => this.emit({ type: "warning", note: warning(name) }));
    call.on("warning-cleared", () => this.emit({ type: "warning", note: "" }));
    call.on("error", (error: { code?: number }) => this.failed(error.code, call));
    call.on("disconnect", () => this.ended("The call has ended."));
    call.on("cancel", () => this.ended("The caller hung up before you answered."));
    call.on("reject", () => this.ended("You declined the call."));
  }

  /** Our leg of the current call, also while an incoming one rings. */
  get leg(): Leg | null {
    return this.call && legOf(this.call);
  }

  private reportLeg(call: Call): void {
    const leg = legOf(call);
    if (leg) this.options.onLeg(leg);
  }

  private ended(note: string): void {
    this.call = null;
    this.emit({ type: "ended", note: this.failure || note });
  }

  // The SDK reports some errors before the end of their call and some after it; the reason is kept in both cases.
  private failed(code: number | undefined, call?: Call): void {
    this.failure = failureText(code);
    if (!this.call) this.emit({ type: "ended", note: this.failure });
    else if (!call || call === this.call) this.emit({ type: "warning", note: this.failure });
  }

  private async refreshToken(): Promise<void> {
    try {
      this.device?.updateToken((await newToken()).token);
    } catch {
      this.emit({ type: "warning", note: failureText(20104) });
    }
  }
}

function legOf(call: Call): Leg | null {
  const { CallSid: sid, From: from } = call.parameters;
  return sid ? { sid, from: call.direction === "INCOMING" ? (from ?? "") : null } : null;
}

function failureText(code: number | undefined): string {
  return adviceText(code, isAdministrator());
}

async function newToken(): Promise<Token> {
  return await send<Token>("POST", "/api/v1/softphone/token");
}
