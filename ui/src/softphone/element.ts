// <call-softphone>: place and receive calls on this page. Its template shows the dial form before this script runs.

import type { Consent } from "../consent/mark";
import type { ListedCall } from "../page/api_types";
import { el, isAdministrator, required } from "../page/dom";
import { duration, telephone } from "../page/format";
import { ApiError, errorMessage, getOrNull, send } from "../page/http";
import { addShortcuts } from "../page/shortcuts";
import { toast } from "../page/toast";
import { isName, loadContacts, suggestions, type Contact } from "./contacts";
import { browserProblem } from "./errors";
import { belongsTo, type Leg } from "./leg";
import { Line, softphoneSettings, type SoftphoneSettings } from "./line";
import { checkNumber, checkOffline, NumberCheck, showCheckedNumber, type CheckedNumber } from "./number";
import { isActive, LOADING, next, readiness, status, type SoftphoneEvent, type SoftphoneState } from "./state";

const KEYS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "0", "#"];
const KEY_NAMES: Record<string, string> = { "*": "star", "#": "hash" };
const UNPROCESSED_KEY = "callreel.raw-microphone";
const FIND_CALL_EVERY_MS = 400;
const FIND_CALL_ATTEMPTS = 25;
/** As the server (`retention/stopped_recording.py`). */
const UNRECORDED_UNTIL_MS = 60_000;

export class CallSoftphone extends HTMLElement {
  private state: SoftphoneState = LOADING;
  private line: Line | null = null;
  private checked: CheckedNumber | null = null;
  private contacts: Contact[] = [];
  private timer: ReturnType<typeof setInterval> | undefined;
  private leg: Leg | null = null;
  /** Whether the recording policy lets agents choose not to record a call. */
  private maySkip = false;
  private mayLeaveUnrecorded = false;
  /** The page's title, which an incoming call replaces while it rings. */
  private pageTitle: string | null = null;
  private readonly numberCheck = new NumberCheck((checked) => this.showNumber(checked));

  connectedCallback(): void {
    required<HTMLFormElement>(this, "form").addEventListener("submit", (event) => {
      event.preventDefault();
      void this.dial();
    });
    this.input.addEventListener("input", () => {
      this.checked = null;
      this.numberCheck.typed(isName(this.input.value) ? "" : this.input.value);
      this.drawContacts();
    });
    required(this, "[data-active]").append(...this.callControls());
    this.connectMicrophoneChoice();
    addShortcuts(
      { key: "c", label: "Enter a number to call", run: () => this.input.focus(), when: () => !isActive(this.state) },
      { key: "m", label: "Mute or unmute your microphone", run: () => this.toggleMute(), when: () => this.state.phase === "talking" },
      { key: "k", label: "Show or hide the keypad", run: () => this.togglePad(), when: () => this.state.phase === "talking" },
    );
    void this.start();
    void this.loadContacts();
  }

  disconnectedCallback(): void {
    clearInterval(this.timer);
    this.line?.close();
  }

  private get input(): HTMLInputElement {
    return required<HTMLInputElement>(this, "input[name=number]");
  }

  private async start(): Promise<void> {
    const problem = browserProblem({
      secure: globalThis.isSecureContext,
      microphone: Boolean(navigator.mediaDevices?.getUserMedia),
      webrtc: "RTCPeerConnection" in globalThis,
    });
    try {
      const settings = await softphoneSettings();
      if (!settings.ready) return this.notSetUp(settings.missing);
      if (problem) return this.unavailable(`${problem.problem} ${problem.action}`);
      await this.open(settings);
    } catch (error) {
      const absent = error instanceof ApiError && error.status === 404;
      this.unavailable(absent ? "This server has no softphone." : `Calls cannot be placed at the moment. ${errorMessage(error)}`);
    }
  }

  /** "Do not record this call". */
  private get skip(): HTMLInputElement {
    return required<HTMLInputElement>(this, "input[name=skip]");
  }

  private async open({ local, may_skip_recording }: SoftphoneSettings): Promise<void> {
    this.line = new Line({
      local,
      unprocessed: isUnprocessed(),
      onEvent: (event) => this.handle(event),
      onLeg: (leg) => this.legKnown(leg),
      nameOf: (number) => this.nameOf(number),
    });
    required(this, "[data-local]").hidden = !local;
    this.maySkip = may_skip_recording;
    required(this, "[data-skip]").hidden = !may_skip_recording;
    await this.line.open();
  }

  private notSetUp(missing: readonly string[]): void {
    if (!isAdministrator()) return this.unavailable("Calling is not set up yet. Ask an administrator to complete the carrier settings.");
    const item = (one: string) => el("li", {}, el("code", {}, one.split(",")[0] ?? ""), one.slice(one.indexOf(",")));
    this.unavailable("Calling is not set up yet. Missing settings:", el("ul.missing", {}, ...missing.map(item)), el("p", {}, el("a", { href: "/settings" }, "All settings")));
  }

  private unavailable(text: string, ...details: Node[]): void {
    this.handle({ type: "unavailable" });
    const box = required(this, "[data-missing]");
    box.replaceChildren(el("p", {}, text), ...details);
    box.hidden = false;
  }

  private handle(event: SoftphoneEvent): void {
    const before = this.state;
    this.state = next(before, event);
    if (this.state !== before) this.draw(before);
  }

  private async dial(): Promise<void> {
    const { shown } = suggestions(this.contacts, this.input.value);
    if (isName(this.input.value) && shown.length === 1) this.choose(shown[0]!);
    const checked = this.checked ?? (await checkNumber(this.input.value).catch(() => checkOffline(this.input.value)));
    this.showNumber(checked);
    if (!checked.valid || !checked.e164) return this.input.focus();
    const name = this.contacts.find((one) => one.number === checked.e164)?.name;
    const language = this.querySelector<HTMLSelectElement>("select[name=language]")?.value;
    await this.line?.dial(checked.e164, name || checked.international || checked.e164, { ...(language && { Language: language }), ...(this.skip.checked && { Record: "no" }) });
    this.skip.checked = false; // it is for one call
  }

  private nameOf(number: string): string {
    return this.contacts.find((one) => one.number === number)?.name || telephone(number);
  }

  private showNumber(checked: CheckedNumber | null): void {
    this.checked = checked;
    showCheckedNumber(this.input, required(this, "[data-number-problem]"), checked);
  }

  private draw(before: SoftphoneState): void {
    const state = this.state;
    this.dataset.phase = state.phase;
    required(this, "[data-status]").textContent = status(state);
    required(this, "[data-note]").textContent = state.note;
    required(this, "[data-dial]").hidden = isActive(state);
    required(this, "[data-active]").hidden = !isActive(state);
    required<HTMLButtonElement>(this, "button[type=submit]").disabled = state.phase !== "idle";
    required(this, "[data-ready]").textContent = readiness(state);
    for (const part of this.querySelectorAll<HTMLElement>("[data-when]")) part.hidden = !part.dataset.when!.split(" ").includes(state.phase);
    if (state.phase !== before.phase && state.phase !== "talking") this.mayLeaveUnrecorded = this.maySkip && state.phase === "incoming";
    this.drawUnrecorded();
    this.drawMute();
    required(this, "[data-digits]").textContent = state.digits;
    if (state.phase !== before.phase) this.phaseChanged(before);
  }

  /** Offered for an incoming call, until it is too late; for an outgoing one it is chosen before. */
  private drawUnrecorded(): void {
    const { answeredAt } = this.state;
    const late = answeredAt !== null && Date.now() - answeredAt > UNRECORDED_UNTIL_MS;
    required(this, "[data-act=unrecorded]").hidden ||= !this.mayLeaveUnrecorded || late;
  }

  private drawMute(): void {
    const { muted } = this.state;
    const mute = required<HTMLButtonElement>(this, "[data-act=mute]");
    if (mute.getAttribute("aria-pressed") === String(muted)) return;
    mute.setAttribute("aria-pressed", String(muted));
    mute.replaceChildren(muted ? "Unmute" : "Mute", " ", el("kbd", { "aria-hidden": "true" }, "M"));
    required(this, "[data-muted]").hidden = !muted;
  }

  private phaseChanged(before: SoftphoneState): void {
    clearInterval(this.timer);
    this.pageTitle ??= document.title;
    document.title = this.state.phase === "incoming" ? `☎ ${status(this.state)}` : this.pageTitle;
    required(this, "[data-talk-time]").hidden = this.state.answeredAt === null;
    this.togglePad(false);
    if (this.state.answeredAt !== null) {
      const tick = () => {
        required(this, "[data-clock]").textContent = duration(Date.now() - (this.state.answeredAt ?? 0));
        this.drawUnrecorded();
      };
      tick();
      this.timer = setInterval(tick, 1000);
    }
    if (this.state.phase === "incoming") required(this, "[data-act=accept]").focus();
    else if (isActive(this.state) && !isActive(before)) required(this, "[data-act=hangup]").focus();
    else if (!isActive(this.state) && isActive(before)) {
      this.leg = null;
      void this.loadContacts();
      this.input.focus({ preventScroll: true });
    }
  }

  private callControls(): Node[] {
    const button = (name: string, text: string, when: string, onclick: () => void, style = "button") =>
      el("button", { type: "button", class: style, "data-act": name, "data-when": when, hidden: true, onclick }, text);
    return [
      el(
        "p.row",
        {},
        button("accept", "Accept", "incoming", () => this.line?.accept(), "button good"),
        button("decline", "Decline", "incoming", () => this.line?.decline(), "button bad"),
        button("hangup", "Hang up", "calling ringing talking", () => this.line?.hangUp(), "button bad"),
        button("unrecorded", "Do not record this call", "incoming talking", () => void this.leaveUnrecorded(), "button quiet"),
        button("mute", "Mute", "talking", () => this.toggleMute(), "button quiet"),
        button("keypad", "Keypad", "talking", () => this.togglePad(), "button quiet"),
      ),
      el("p.muted", { "data-muted": "", role: "status", hidden: true }, "You are muted. Your microphone is off."),
      el("p.digits.figure", { "data-digits": "", "aria-label": "Keys pressed" }),
      el("div.pad", { "data-pad": "", hidden: true, role: "group", "aria-label": "Keypad" }, ...KEYS.map((key) => this.padKey(key))),
    ];
  }

  private padKey(digit: string): HTMLButtonElement {
    return el("button", { type: "button", class: "pad-key", "aria-label": KEY_NAMES[digit] ?? digit, "data-digit": digit, onclick: () => this.line?.press(digit) }, digit);
  }

  private togglePad(open?: boolean): void {
    const pad = required(this, "[data-pad]");
    pad.hidden = !(open ?? pad.hidden);
    required(this, "[data-act=keypad]").setAttribute("aria-expanded", String(!pad.hidden));
  }

  private toggleMute(): void {
    this.line?.mute(!this.state.muted);
  }

  private async loadContacts(): Promise<void> {
    this.contacts = await loadContacts();
    this.drawContacts();
  }

  private drawContacts(): void {
    const { shown, more } = suggestions(this.contacts, this.input.value);
    const list = required(this, "[data-people]");
    list.replaceChildren(...shown.map((one) => el("li", {}, this.contactButton(one))), more ? el("li.small.soft", {}, `${more} more: type a name`) : "");
    list.hidden = !shown.length;
  }

  private choose(contact: Contact): void {
    this.input.value = contact.number;
    this.checked = null;
    this.numberCheck.typed(contact.number);
    this.drawContacts();
  }

  private contactButton(contact: Contact): HTMLButtonElement {
    const onclick = () => {
      this.choose(contact);
      this.input.focus();
    };
    return el("button.chip", { type: "button", title: contact.number, onclick }, contact.name || telephone(contact.number));
  }

  private connectMicrophoneChoice(): void {
    const box = required<HTMLInputElement>(this, "input[name=clean]");
    box.checked = !isUnprocessed();
    box.addEventListener("change", () => {
      localStorage.setItem(UNPROCESSED_KEY, box.checked ? "" : "yes");
      location.reload();
    });
  }

  /** The carrier has assigned a SID to our leg: show the call's words as soon as the server lists it. */
  private legKnown(leg: Leg): void {
    if (this.leg?.sid === leg.sid) return;
    this.leg = leg;
    void this.findCall(leg, FIND_CALL_ATTEMPTS);
  }

  private async findCall(leg: Leg, attempts: number): Promise<void> {
    const found = await listedCall(leg);
    if (this.leg !== leg) return;
    if (found) this.dispatchEvent(new CustomEvent("call-found", { bubbles: true, detail: found }));
    else if (attempts > 0) setTimeout(() => void this.findCall(leg, attempts - 1), FIND_CALL_EVERY_MS);
  }

  /** Leave an incoming call unrecorded, before or shortly after it is answered; what was recorded until now is erased. */
  private async leaveUnrecorded(): Promise<void> {
    const leg = this.line?.leg;
    const button = required<HTMLButtonElement>(this, "[data-act=unrecorded]");
    if (!leg) return;
    button.disabled = true;
    try {
      const call = await listedCall(leg);
      if (!call) throw new Error("The server does not list the call yet. Try again.");
      const consent = await send<Consent>("POST", `/api/v1/calls/${call}/do-not-record`);
      this.mayLeaveUnrecorded = false;
      this.drawUnrecorded();
      document.dispatchEvent(new CustomEvent("consent-changed", { detail: consent }));
    } catch (error) {
      toast(`The call is still recorded. ${errorMessage(error)}`);
    } finally {
      button.disabled = false;
    }
  }
}

/** The id of the call with that leg, once the server lists it. */
async function listedCall(leg: Leg): Promise<string | null> {
  const listed = await getOrNull<{ calls: ListedCall[] }>("/api/v1/calls?limit=20").catch(() => null);
  return listed?.calls.find((call) => belongsTo(leg, call))?.call_id ?? null;
}

function isUnprocessed(): boolean {
  try {
    return localStorage.getItem(UNPROCESSED_KEY) === "yes";
  } catch {
    return false;
  }
}

customElements.define("call-softphone", CallSoftphone);
