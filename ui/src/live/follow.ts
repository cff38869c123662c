// Keeps the page of a call up to date: live words are drawn here, everything that is stored is rendered by the server.

import type { Consent } from "../consent/mark";
import type { Pause } from "../page/api_types";
import { required } from "../page/dom";
import { duration } from "../page/format";
import { pageRefresher } from "../page/refresh";
import { subscribe, type Subscription } from "../page/events";
import { updatePart } from "../page/update";
import type { CallListening } from "./listen";
import "./pause";
import type { RecordingPause } from "./pause";
import type { Levels, Segment } from "./state";
import { LiveTranscript } from "./transcript";

const STORED = ["call", "layer", "recording", "stage", "verdict"] as const;

/** A closed call is followed too, because others may add notes and corrections to it. */
export function followCall(page: HTMLElement): void {
  const transcript = page.querySelector<LiveTranscript>("live-transcript");
  let closed = page.dataset.state === "closed";
  const refresh = pageRefresher((fresh) => {
    const state = fresh.querySelector<HTMLElement>("[data-live-call]")?.dataset.state;
    if (state !== "live") {
      transcript?.end();
      page.querySelector("recording-pause")?.remove();
      page.querySelector<CallListening>("call-listening")?.end();
    }
    updateStored(document.getElementById("head"), fresh.getElementById("head"));
    updateColumns(page, fresh);
    updateLights(required(document, "#layers"), document.getElementById("lights"));
    closed = state === "closed";
  });
  // What is derived from the text: the rest of the page of a closed call stays, where a person may be correcting it.
  const refreshInsight = pageRefresher((fresh) => {
    for (const id of ["head", "moments"]) updateStored(document.getElementById(id), fresh.getElementById(id));
  });
  const addAnalysis = pageRefresher((fresh) => {
    const card = fresh.getElementById("analysis");
    if (!card || document.getElementById("analysis")) return;
    document.getElementById("final")?.before(card);
  });
  const analysed = () => {
    if (document.getElementById("analysis")) document.dispatchEvent(new CustomEvent("analysis-changed"));
    else addAnalysis();
  };
  const storedChange = () => {
    if (!closed) refresh();
  };
  subscribe(page.dataset.liveCall ?? "", {
    partial: (data: Segment) => transcript?.apply({ kind: "partial", data }),
    final: (data: Segment) => {
      transcript?.apply({ kind: "final", data });
      if (page.querySelector("#alerts [data-without-words]")) refresh(); // an alert has its words once they are final
    },
    level: (data: Levels) => {
      transcript?.apply({ kind: "level", data });
      const position = document.querySelector("[data-position]");
      if (position) position.textContent = duration(data.position_ms);
      page.dataset.positionMs = String(data.position_ms);
    },
    pause: (pause: Pause) => page.querySelector<RecordingPause>("recording-pause")?.apply(pause),
    phrase_alert: refresh, // also after the call: a phrase may be missing
    note: () => document.dispatchEvent(new CustomEvent("notes-changed")),
    ...Object.fromEntries(STORED.map((kind) => [kind, storedChange])),
    // The verdict closes the call before it is measured.
    stage: ({ stage }: { stage: string }) => {
      if (stage === "analyse") analysed();
      else if (stage === "measure") refresh();
      else storedChange();
    },
    consent: (consent: Consent) => {
      page.querySelector<RecordingPause>("recording-pause")?.applyConsent(consent);
      if (consent.stopped_at) transcript?.erase();
      storedChange();
    },
    call: (data: { state?: string; roles_swapped?: boolean }) => {
      if (data.state === "erased" || data.roles_swapped !== undefined) location.reload();
      else if (["labels", "reviewed", "assigned_to"].some((name) => name in data)) document.dispatchEvent(new CustomEvent("triage-changed"));
      else if ("review" in data) document.dispatchEvent(new CustomEvent("reviews-changed"));
      else if (closed && "topic" in data) refreshInsight();
      else if ("analysis" in data) analysed();
      else storedChange();
    },
    // A correction; without a revision a transcript, which may come after the verdict.
    transcript: ({ redacted, revision }: { redacted?: boolean; revision?: number }) =>
      redacted ? location.reload() : closed && revision !== undefined ? document.dispatchEvent(new CustomEvent("transcript-changed")) : refresh(),
  });
}

let current: Subscription | null = null;

/** Show the words of a call below the softphone, outside of its own page. */
export function showLiveTranscript(callId: string, panel: HTMLElement): void {
  const transcript = document.createElement("live-transcript") as LiveTranscript;
  transcript.dataset.agent = panel.dataset.agent;
  transcript.dataset.technician = panel.dataset.technician;
  const pausing = document.createElement("recording-pause") as RecordingPause;
  pausing.dataset.call = callId;
  required(panel, "[data-words]").replaceChildren(pausing, transcript);
  required<HTMLAnchorElement>(panel, "a[data-call-link]").href = `/calls/${callId}`;
  panel.hidden = false;
  current?.close(); // of the previous call
  const events = (current = subscribe(`/calls/${callId}/events`, {
    partial: (data: Segment) => transcript.apply({ kind: "partial", data }),
    final: (data: Segment) => transcript.apply({ kind: "final", data }),
    level: (data: Levels) => transcript.apply({ kind: "level", data }),
    pause: (pause: Pause) => pausing.apply(pause),
    consent: (consent: Consent) => {
      pausing.applyConsent(consent);
      if (consent.stopped_at) transcript.erase();
      document.dispatchEvent(new CustomEvent("consent-changed", { detail: consent }));
    },
    call: ({ state }: { state: string }) => {
      // The last words may arrive after the call has ended, until it is closed.
      if (state === "ended" || state === "closed") {
        transcript.end();
        pausing.remove();
      }
      if (state === "closed") events.close();
    },
  }));
}

// Bring both columns to what the server renders now: update, add and remove their parts, which all have an id. The parts
// that change on this page only, such as the live transcript and the notes, have no data-swap and stay.
function updateColumns(page: HTMLElement, fresh: Document): void {
  const freshColumns = fresh.querySelectorAll("[data-live-call] > .column");
  page.querySelectorAll(":scope > .column").forEach((column, at) => {
    const parts = [...(freshColumns[at]?.children ?? [])] as HTMLElement[];
    if (!parts.length) return;
    for (const shown of [...column.children]) if (!parts.some((part) => part.id === shown.id)) shown.remove();
    parts.forEach((part, position) => {
      const shown = document.getElementById(part.id);
      if (!shown) column.insertBefore(part, column.children[position] ?? null);
      else if (shown.hasAttribute("data-swap")) updateStored(shown, part);
    });
  });
}

function updateStored(shown: HTMLElement | null, fresh: HTMLElement | null): void {
  if (!shown || !fresh) return;
  if (isInUse(shown)) return updateLights(fresh, shown);
  updatePart(shown, fresh);
}

// A part stays while its audio plays or a turn in it is corrected.
function isInUse(part: HTMLElement): boolean {
  return [...part.querySelectorAll("audio")].some((audio) => !audio.paused || audio.currentTime > 0) || Boolean(part.querySelector(".turn :is(textarea, input)"));
}

// Copies the state of the layers' lights to where the rest must stay: beside the live words, or around a playing file.
function updateLights(from: HTMLElement, to: HTMLElement | null): void {
  for (const light of to?.querySelectorAll<HTMLElement>("[data-light]") ?? []) {
    const fresh = from.querySelector(`[data-light="${CSS.escape(light.dataset.light ?? "")}"]`);
    if (!fresh) continue;
    light.className = fresh.className;
    const label = light.querySelector(".visually-hidden");
    if (label) label.textContent = `: ${fresh.textContent}`;
    else light.textContent = fresh.textContent;
  }
}
