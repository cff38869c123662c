// Loaded by every page: local times, keyboard shortcuts, and the custom elements that the page contains, one file each.

import { addShortcuts, startShortcuts } from "./page/shortcuts";
import { localizeTimes } from "./page/times";

const ELEMENTS: Record<string, () => Promise<unknown>> = {
  "call-softphone": () => import("./softphone/element"),
  "live-transcript": () => import("./live/transcript"),
  "recording-pause": () => import("./live/pause"),
  "call-listening": () => import("./live/listen"),
  "call-notes": () => import("./live/notes"),
  "call-triage": () => import("./triage/element"),
  "call-analysis": () => import("./insight/analysis"),
  "call-question": () => import("./insight/question"),
  "team-labels": () => import("./triage/labels"),
  "redaction-form": () => import("./redaction/element"),
  "call-review": () => import("./review/element"),
  "call-list": () => import("./list/element"),
  "call-wall": () => import("./wall/element"),
  "call-dashboard": () => import("./dashboard/element"),
  "weekly-report": () => import("./report/element"),
  "phone-book": () => import("./phone_book/element"),
  "custom-vocabulary": () => import("./phone_book/vocabulary"),
  "call-scorecards": () => import("./scorecards/call"),
  "scorecard-results": () => import("./scorecards/results"),
  "score-cards": () => import("./scorecards/forms"),
  "phrase-rules": () => import("./phrase_rules/element"),
  "settings-search": () => import("./settings/element"),
  "erase-progress": () => import("./erase/element"),
  "webhook-endpoints": () => import("./webhooks/element"),
  "user-accounts": () => import("./people/accounts"),
  "consent-policy": () => import("./consent/element"),
  "recording-mark": () => import("./consent/mark"),
  "my-account": () => import("./people/my_account"),
};

async function start(): Promise<void> {
  localizeTimes(document);
  startShortcuts();
  addShortcuts({ key: "g", label: "Go to calls", run: () => location.assign("/") });
  const livePanel = document.querySelector<HTMLElement>("[data-live-words]");
  if (livePanel) { // before the softphone loads, which dispatches this event
    document.addEventListener("call-found", async (event) => {
      const { showLiveTranscript } = await import("./live/follow");
      showLiveTranscript((event as CustomEvent<string>).detail, livePanel);
    });
  }
  const callPage = document.querySelector<HTMLElement>("[data-live-call]");
  const loading: Promise<unknown>[] = Object.entries(ELEMENTS).flatMap(([tag, load]) => (document.querySelector(tag) ? [load().then(() => enableForms(tag))] : []));
  if (callPage) {
    const { followPlainPlayer } = await import("./live/plain_player");
    followPlainPlayer();
    loading.push(ELEMENTS["call-review"]!(), ELEMENTS["call-analysis"]!()); // the page gets these elements later
  }
  await Promise.all(loading);
  if (callPage) (await import("./live/follow")).followCall(callPage);
}

/** A form that only script can send stays inert until its script has loaded: the browser would put the fields into the URL. */
function enableForms(tag: string): void {
  for (const form of document.querySelectorAll<HTMLElement>(`${tag} form[inert]`)) form.inert = false;
}

void start();
