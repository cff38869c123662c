// The way to the voice SDK: loaded late, built for this server's settings, its events in our words.

import type { Call, Device } from "@twilio/voice-sdk";
import { get, send } from "../page/http";
import { advice, warning } from "./errors";
import type { Leg } from "./leg";
import { allowPlainSocket } from "./local";
import type { SoftphoneEvent } from "./state";

/** What /api/softphone answers. */
export interface SoftphoneSettings {
  ready: boolean;
  missing: string[];
  identity: string | null;
  local: { signal_host: string } | null;
}

interface Token {
  token: string;
  ttl_s?: number;
}

const TOKEN_REFRESH_MS = 60_000;
const SOUNDS = ["incoming", "outgoing", "disconnect", ...[..."0123456789"].map((digit) => `dtmf${digit}`), "dtmfs", "dtmfh"];
const UNPROCESSED = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };

export async function settings(): Promise<SoftphoneSettings> {
  return await get<SoftphoneSettings>("/api/softphone");
}

/** The connection of this browser to the carrier. `tell` gets what happens; one call at a time. */
export class Line {
  private device: Device | null = null;
  private call: Call | null = null;
  private failed = "";

  constructor(
    private readonly local: SoftphoneSettings["local"],
    private readonly tell: (event: SoftphoneEvent) => void,
    private readonly named: (leg: Leg) => void,
    private readonly raw: boolean,
    private readonly nameOf: (number: string) => string,
  ) {}

  /** Load the SDK and register for incoming calls. */
  async open(): Promise<void> {
    if (this.local) allowPlainSocket(this.local.signal_host);
    const [{ Device }, { token }] = await Promise.all([import("@twilio/voice-sdk"), newToken()]);
    const sounds = Object.fromEntries(SOUNDS.map((name) => [name, new URL(`/static/sounds/${name}.wav`, location.href).href]));
    const options = {
      appName: "callreel",
      closeProtection: "A call is going on. Leaving the page hangs up.",
      enableImprovedSignalingErrorPrecision: true,
      logLevel: "silent" as const,
      maxCallSignalingTimeoutMs: 30_000,
      sounds,
      tokenRefreshMs: TOKEN_REFRESH_MS,
      ...(this.local ? { chunderw: this.local.signal_host, publishEvents: false } : {}),
    };
    const device = new Device(token, options as unknown as Device.Options);
    this.device = device;
    device.on("registered", () => this.tell({ is: "registered", yes: true }));
    device.on("unregistered", () => this.tell({ is: "registered", yes: false }));
    device.on("incoming", (call: Call) => this.offered(call));
    device.on("error", (error: { code?: number }, call?: Call) => this.wrong(error.code, call));
    device.on("tokenWillExpire", () => void this.refresh());
    if (this.raw) await device.audio?.setAudioConstraints(UNPROCESSED).catch(() => undefined);
    await device.register();
  }

  async dial(e164: string, shown: string, language = ""): Promise<void> {
    if (!this.device || this.call) return;
    this.tell({ is: "dialled", with: shown });
    try {
      const constraints = this.raw ? { rtcConstraints: { audio: UNPROCESSED } } : {};
      this.follow(await this.device.connect({ params: { To: e164, ...(language && { Language: language }) }, ...constraints }));
    } catch (error) {
      this.tell({ is: "ended", note: told((error as { code?: number }).code) });
    }
  }

  accept(): void {
    this.call?.accept(this.raw ? { rtcConstraints: { audio: UNPROCESSED } } : undefined);
  }

  decline(): void {
    this.call?.reject();
  }

  hangUp(): void {
    if (this.call) this.call.disconnect();
    else this.device?.disconnectAll();
  }

  mute(yes: boolean): void {
    this.call?.mute(yes);
  }

  press(digit: string): void {
    this.call?.sendDigits(digit);
  }

  close(): void {
    this.device?.destroy();
  }

  private offered(call: Call): void {
    if (this.call) return call.reject();
    this.follow(call);
    this.tell({ is: "offered", with: this.nameOf(call.parameters["From"] ?? "Somebody") });
  }

  private follow(call: Call): void {
    this.call = call;
    this.failed = "";
    call.on("ringing", () => {
      this.tell({ is: "ringing" });
      this.sayName(call);
    });
    call.on("accept", () => {
      this.tell({ is: "answered", at: Date.now() });
      this.sayName(call);
    });
    call.on("mute", (yes: boolean) => this.tell({ is: "muted", yes }));
    call.on("reconnecting", () => this.tell({ is: "reconnecting", yes: true }));
    call.on("reconnected", () => this.tell({ is: "reconnecting", yes: false }));
    call.on("warning", (name: string) => this.tell({ is: "warned", note: warning(name) }));
    call.on("warning-cleared", () => this.tell({ is: "warned", note: "" }));
    call.on("error", (error: { code?: number }) => this.wrong(error.code, call));
    call.on("disconnect", () => this.over("The call has ended."));
    call.on("cancel", () => this.over("The caller hung up before you answered."));
    call.on("reject", () => this.over("You declined the call."));
  }

  private sayName(call: Call): void {
    const { CallSid: sid, From: from } = call.parameters;
    if (sid) this.named({ sid, from: call.direction === "INCOMING" ? (from ?? "") : null });
  }

  private over(note: string): void {
    this.call = null;
    this.tell({ is: "ended", note: this.failed || note });
  }

  // The SDK tells some errors before the end of their call and some after it; either way the reason is what stays.
  private wrong(code: number | undefined, call?: Call): void {
    this.failed = told(code);
    if (!this.call) this.tell({ is: "ended", note: this.failed });
    else if (!call || call === this.call) this.tell({ is: "warned", note: this.failed });
  }

  private async refresh(): Promise<void> {
    try {
      this.device?.updateToken((await newToken()).token);
    } catch {
      this.tell({ is: "warned", note: told(20104) });
    }
  }
}

function told(code: number | undefined): string {
  const { what, todo } = advice(code);
  return `${what} ${todo}${code === undefined ? "" : ` (${code})`}`;
}

async function newToken(): Promise<Token> {
  return await send<Token>("POST", "/api/softphone/token");
}
