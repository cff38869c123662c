// One call's page follows the call: words are drawn here, everything that lasts is drawn by the server again.

import { need } from "../page/dom";
import { duration } from "../page/format";
import { refresher } from "../page/refresh";
import { listen, type Listening } from "../page/sse";
import { localTimes } from "../page/times";
import type { Levels, Spoken } from "./state";
import { LiveTranscript } from "./transcript";

const LASTING = ["call", "layer", "recording", "stage", "verdict"] as const;

/** Also a closed call is followed: others note and correct it while somebody reads. */
export function followCall(page: HTMLElement): void {
  const transcript = page.querySelector<LiveTranscript>("live-transcript");
  let closed = page.dataset.state === "closed";
  const refresh = refresher((fresh) => {
    localTimes(fresh);
    for (const part of document.querySelectorAll<HTMLElement>("[data-swap]")) swap(part, fresh.getElementById(part.id));
    if (!fresh.getElementById("lights")) lightsAfter(fresh);
    const state = fresh.querySelector<HTMLElement>("[data-live-call]")?.dataset.state;
    if (state !== "live") transcript?.end();
    closed = state === "closed";
  });
  const lasting = () => {
    if (!closed) refresh();
  };
  listen(page.dataset.liveCall ?? "", {
    partial: (data: Spoken) => transcript?.hear({ kind: "partial", data }),
    final: (data: Spoken) => transcript?.hear({ kind: "final", data }),
    level: (data: Levels) => {
      transcript?.hear({ kind: "level", data });
      const position = document.querySelector("[data-position]");
      if (position) position.textContent = duration(data.position_ms);
      page.dataset.positionMs = String(data.position_ms);
    },
    note: () => document.dispatchEvent(new CustomEvent("notes-changed")),
    ...Object.fromEntries(LASTING.map((kind) => [kind, lasting])),
    call: ({ state }: { state?: string }) => (state === "erased" ? location.reload() : lasting()),
    transcript: () => (closed ? document.dispatchEvent(new CustomEvent("transcript-changed")) : refresh()),
  });
}

let words: Listening | null = null;

/** The words of a call under the softphone, without its page. */
export function liveWords(callId: string, into: HTMLElement): void {
  const transcript = document.createElement("live-transcript") as LiveTranscript;
  transcript.dataset.agent = into.dataset.agent;
  transcript.dataset.technician = into.dataset.technician;
  need(into, "[data-words]").replaceChildren(transcript);
  need<HTMLAnchorElement>(into, "a[data-call-link]").href = `/calls/${callId}`;
  into.hidden = false;
  words?.close(); // of the call before
  const events = (words = listen(`/calls/${callId}/events`, {
    partial: (data: Spoken) => transcript.hear({ kind: "partial", data }),
    final: (data: Spoken) => transcript.hear({ kind: "final", data }),
    level: (data: Levels) => transcript.hear({ kind: "level", data }),
    call: ({ state }: { state: string }) => {
      // Words of the last seconds come after the end of the call, until it is closed.
      if (state === "ended" || state === "closed") transcript.end();
      if (state === "closed") events.close();
    },
  }));
}

function swap(part: HTMLElement, other: HTMLElement | null): void {
  if (!other || part.isEqualNode(other)) return;
  if (isInUse(part)) return swapLights(part, other);
  for (const open of part.querySelectorAll<HTMLDetailsElement>("details[open][id]")) other.querySelector(`#${CSS.escape(open.id)}`)?.setAttribute("open", "");
  part.replaceWith(other);
}

// The words of a call that has ended stay where they were read, and the server draws no lights beside them any more.
function lightsAfter(fresh: Document): void {
  for (const light of document.querySelectorAll<HTMLElement>("#lights [data-light]")) {
    const now = fresh.querySelector(`#layers [data-light="${CSS.escape(light.dataset.light ?? "")}"]`);
    if (!now) continue;
    light.className = now.className;
    need(light, ".visually-hidden").textContent = `: ${now.textContent}`;
  }
}

function isInUse(part: HTMLElement): boolean {
  return [...part.querySelectorAll("audio")].some((audio) => !audio.paused || audio.currentTime > 0);
}

// A part whose player somebody uses stays; only its lights change.
function swapLights(part: HTMLElement, other: HTMLElement): void {
  for (const light of part.querySelectorAll<HTMLElement>("[data-light]")) {
    const fresh = other.querySelector(`[data-light="${CSS.escape(light.dataset.light ?? "")}"]`);
    if (fresh) light.replaceWith(fresh);
  }
}
