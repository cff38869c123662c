// <recording-mark>: says on the phone whether the call is recorded, where the recording policy or the agent has a say.

import { get } from "../page/http";

/** The call's consent stamp, as the API and its events have it. */
export interface Consent {
  mode: string;
  may_record: boolean;
  text: string;
  /** When a person chose during the call that it is not recorded. */
  stopped_at: string | null;
}

export class RecordingMark extends HTMLElement {
  private callId = "";

  connectedCallback(): void {
    this.setAttribute("role", "status");
    document.addEventListener("call-found", (event) => void this.load((event as CustomEvent<string>).detail));
    document.addEventListener("consent-changed", (event) => this.show((event as CustomEvent<Consent>).detail));
  }

  private async load(callId: string): Promise<void> {
    this.callId = callId;
    this.show(null);
    const call = await get<{ consent: Consent | null }>(`/api/v1/calls/${callId}`).catch(() => null);
    if (call && this.callId === callId) this.show(call.consent);
  }

  private show(consent: Consent | null): void {
    this.hidden = !consent;
    this.className = `badge ${consent?.may_record ? "plain" : "suspect"}`;
    this.textContent = consent?.text ?? "";
  }
}

customElements.define("recording-mark", RecordingMark);
