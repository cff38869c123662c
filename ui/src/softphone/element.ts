// <call-softphone>: call a technician, or be called, from this page. The template holds what shows before script runs.

import { el, need } from "../page/dom";
import { duration, telephone } from "../page/format";
import { ApiError, getIfThere, words } from "../page/http";
import type { ListedCall } from "../page/scheme";
import { shortcuts } from "../page/shortcuts";
import { obstacle } from "./errors";
import { isCallOf, type Leg } from "./leg";
import { Line, settings, type SoftphoneSettings } from "./line";
import { check, cursorAfter, NumberCheck, plainCheck, showProblem, type CheckedNumber } from "./number";
import { isName, offered, technicians, type Person } from "./people";
import { isActive, LOADING, next, readiness, status, type SoftphoneEvent, type SoftphoneState } from "./state";

const KEYS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "0", "#"];
const KEY_NAMES: Record<string, string> = { "*": "star", "#": "hash" };
const RAW_KEY = "callreel.raw-microphone";
const LOOK_FOR_CALL_MS = 400;
const LOOKS = 25;

export class CallSoftphone extends HTMLElement {
  private state: SoftphoneState = LOADING;
  private line: Line | null = null;
  private checked: CheckedNumber | null = null;
  private people: Person[] = [];
  private timer: ReturnType<typeof setInterval> | undefined;
  private leg: Leg | null = null;
  /** Of the page while nothing rings. */
  private pageTitle: string | null = null;
  private readonly check = new NumberCheck((checked) => this.show(checked));

  connectedCallback(): void {
    need<HTMLFormElement>(this, "form").addEventListener("submit", (event) => {
      event.preventDefault();
      void this.dial();
    });
    this.input.addEventListener("input", () => {
      this.checked = null;
      this.check.typed(isName(this.input.value) ? "" : this.input.value);
      this.offer();
    });
    need(this, "[data-active]").append(...this.activeParts());
    need(this, "[data-pad]").append(...KEYS.map((key) => this.key(key)));
    this.rawChoice();
    shortcuts({ key: "c", does: "Go to the number to call", act: () => this.input.focus() });
    void this.start();
    void this.loadPeople();
  }

  disconnectedCallback(): void {
    clearInterval(this.timer);
    this.line?.close();
  }

  private get input(): HTMLInputElement {
    return need<HTMLInputElement>(this, "input[name=number]");
  }

  private async start(): Promise<void> {
    const hindrance = obstacle({
      secure: globalThis.isSecureContext,
      microphone: Boolean(navigator.mediaDevices?.getUserMedia),
      webrtc: "RTCPeerConnection" in globalThis,
    });
    try {
      const told = await settings();
      if (!told.ready) return this.unready("Calls cannot be placed from here yet. What is missing:", told.missing);
      if (hindrance) return this.unready(`${hindrance.what} ${hindrance.todo}`, []);
      await this.open(told);
    } catch (error) {
      const absent = error instanceof ApiError && error.status === 404;
      this.unready(absent ? "This server has no softphone." : `Calls cannot be placed from here now. ${words(error)}`, []);
    }
  }

  private async open(told: SoftphoneSettings): Promise<void> {
    this.line = new Line(told.local, (event) => this.happened(event), (leg) => this.began(leg), isRaw(), (number) => this.nameOf(number));
    need(this, "[data-local]").hidden = !told.local;
    await this.line.open();
  }

  private unready(text: string, missing: readonly string[]): void {
    this.happened({ is: "missing" });
    const box = need(this, "[data-missing]");
    const named = (one: string) => el("li", {}, el("code", {}, one.split(",")[0] ?? ""), one.slice(one.indexOf(",")));
    const settings = document.querySelector("nav a[href='/settings']") && el("p", {}, el("a", { href: "/settings" }, "All settings"));
    box.replaceChildren(el("p", {}, text), ...(missing.length ? [el("ul.missing", {}, ...missing.map(named)), settings ?? ""] : []));
    box.hidden = false;
  }

  private happened(event: SoftphoneEvent): void {
    const before = this.state;
    this.state = next(before, event);
    if (this.state !== before) this.draw(before);
  }

  private async dial(): Promise<void> {
    const { shown: named } = offered(this.people, this.input.value);
    if (isName(this.input.value) && named.length === 1) this.choose(named[0]!);
    const checked = this.checked ?? (await check(this.input.value).catch(() => plainCheck(this.input.value)));
    this.show(checked);
    if (!checked.valid || !checked.e164) return this.input.focus();
    const name = this.people.find((one) => one.number === checked.e164)?.name;
    const language = this.querySelector<HTMLSelectElement>("select[name=language]")?.value;
    await this.line?.dial(checked.e164, name || checked.international || checked.e164, language);
  }

  private nameOf(number: string): string {
    return this.people.find((one) => one.number === number)?.name || telephone(number);
  }

  private show(checked: CheckedNumber | null): void {
    this.checked = checked;
    showProblem(need(this, "[data-number-problem]"), checked);
    this.input.setAttribute("aria-invalid", String(Boolean(checked && !checked.valid)));
    const shown = checked?.valid ? checked.international : null;
    if (!shown || shown === this.input.value) return;
    const cursor = cursorAfter(this.input.value, this.input.selectionStart ?? this.input.value.length, shown);
    this.input.value = shown;
    if (document.activeElement === this.input) this.input.setSelectionRange(cursor, cursor);
  }

  private draw(before: SoftphoneState): void {
    const state = this.state;
    this.dataset.phase = state.phase;
    need(this, "[data-status]").textContent = status(state);
    need(this, "[data-note]").textContent = state.note;
    need(this, "[data-dial]").hidden = isActive(state);
    need(this, "[data-active]").hidden = !isActive(state);
    need<HTMLButtonElement>(this, "button[type=submit]").disabled = state.phase !== "idle";
    need(this, "[data-ready]").textContent = readiness(state);
    for (const part of this.querySelectorAll<HTMLElement>("[data-when]")) part.hidden = !part.dataset.when!.split(" ").includes(state.phase);
    const mute = need<HTMLButtonElement>(this, "[data-act=mute]");
    mute.setAttribute("aria-pressed", String(state.muted));
    mute.textContent = state.muted ? "Unmute" : "Mute";
    if (state.phase !== before.phase) this.turned(before);
  }

  private turned(before: SoftphoneState): void {
    clearInterval(this.timer);
    this.pageTitle ??= document.title;
    document.title = this.state.phase === "incoming" ? `☎ ${status(this.state)}` : this.pageTitle;
    const clock = need(this, "[data-clock]");
    clock.textContent = "";
    if (this.state.answeredAt !== null) {
      const tick = () => (clock.textContent = duration(Date.now() - (this.state.answeredAt ?? 0)));
      tick();
      this.timer = setInterval(tick, 1000);
    }
    if (this.state.phase === "incoming") need(this, "[data-act=accept]").focus();
    else if (isActive(this.state) && !isActive(before)) need(this, "[data-act=hangup]").focus();
    else if (!isActive(this.state) && isActive(before)) {
      this.leg = null;
      void this.loadPeople();
      this.input.focus({ preventScroll: true });
    }
  }

  private activeParts(): Node[] {
    const act = (name: string, text: string, when: string, does: () => void, style = "button") =>
      el("button", { type: "button", class: style, "data-act": name, "data-when": when, hidden: true, onclick: does }, text);
    return [
      el(
        "p.row",
        {},
        act("accept", "Accept", "incoming", () => this.line?.accept(), "button good"),
        act("decline", "Decline", "incoming", () => this.line?.decline(), "button bad"),
        act("hangup", "Hang up", "calling ringing talking", () => this.line?.hangUp(), "button bad"),
        act("mute", "Mute", "talking", () => this.line?.mute(!this.state.muted), "button quiet"),
      ),
      el("div.pad", { "data-pad": "", "data-when": "talking", hidden: true, role: "group", "aria-label": "Keypad" }),
    ];
  }

  private key(digit: string): HTMLButtonElement {
    return el("button", { type: "button", class: "pad-key", "aria-label": KEY_NAMES[digit] ?? digit, "data-digit": digit, onclick: () => this.line?.press(digit) }, digit);
  }

  private async loadPeople(): Promise<void> {
    this.people = await technicians();
    this.offer();
  }

  private offer(): void {
    const { shown, more } = offered(this.people, this.input.value);
    const list = need(this, "[data-people]");
    list.replaceChildren(...shown.map((one) => el("li", {}, this.person(one))), more ? el("li.small.soft", {}, `and ${more} more: type a name`) : "");
    list.hidden = !shown.length;
  }

  private choose(one: Person): void {
    this.input.value = one.number;
    this.checked = null;
    this.check.typed(one.number);
    this.offer();
  }

  private person(one: Person): HTMLButtonElement {
    const choose = () => {
      this.choose(one);
      this.input.focus();
    };
    return el("button.chip", { type: "button", title: one.number, onclick: choose }, one.name || telephone(one.number));
  }

  private rawChoice(): void {
    const box = need<HTMLInputElement>(this, "input[name=clean]");
    box.checked = !isRaw();
    box.addEventListener("change", () => {
      localStorage.setItem(RAW_KEY, box.checked ? "" : "yes");
      location.reload();
    });
  }

  /** The carrier has named our call: show its words as soon as the server knows it too. */
  private began(leg: Leg): void {
    if (this.leg?.sid === leg.sid) return;
    this.leg = leg;
    void this.findCall(leg, LOOKS);
  }

  private async findCall(leg: Leg, looks: number): Promise<void> {
    const listed = await getIfThere<{ calls: ListedCall[] }>("/api/calls?limit=20").catch(() => null);
    if (this.leg !== leg) return;
    const found = listed?.calls.find((call) => isCallOf(call, leg));
    if (found) this.dispatchEvent(new CustomEvent("call-found", { bubbles: true, detail: found.call_id }));
    else if (looks > 0) setTimeout(() => void this.findCall(leg, looks - 1), LOOK_FOR_CALL_MS);
  }
}

function isRaw(): boolean {
  try {
    return localStorage.getItem(RAW_KEY) === "yes";
  } catch {
    return false;
  }
}

customElements.define("call-softphone", CallSoftphone);
