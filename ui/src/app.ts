// What every page loads: times, keys, and the elements that the page has, each in a file of its own.

import { startShortcuts, shortcuts } from "./page/shortcuts";
import { localTimes } from "./page/times";

const ELEMENTS: Record<string, () => Promise<unknown>> = {
  "call-softphone": () => import("./softphone/element"),
  "live-transcript": () => import("./live/transcript"),
  "call-notes": () => import("./live/notes"),
  "call-review": () => import("./review/element"),
  "call-list": () => import("./list/element"),
  "day-view": () => import("./days/element"),
  "phone-book": () => import("./technicians/element"),
  "word-list": () => import("./technicians/word_list"),
  "erase-progress": () => import("./erase/element"),
  "people-admin": () => import("./people/people"),
  "my-access": () => import("./people/me"),
};

async function start(): Promise<void> {
  localTimes(document);
  startShortcuts();
  shortcuts({ key: "g", does: "To the calls", act: () => location.assign("/") });
  const words = document.querySelector<HTMLElement>("[data-live-words]");
  if (words) { // before the phone is there, which says so
    document.addEventListener("call-found", async (event) => {
      const { liveWords } = await import("./live/follow");
      liveWords((event as CustomEvent<string>).detail, words);
    });
  }
  const call = document.querySelector<HTMLElement>("[data-live-call]");
  const loading: Promise<unknown>[] = Object.entries(ELEMENTS).flatMap(([tag, load]) => (document.querySelector(tag) ? [load().then(() => wake(tag))] : []));
  if (call) {
    const { followPlainPlayer } = await import("./live/plain_player");
    followPlainPlayer();
    loading.push(ELEMENTS["call-review"]!()); // comes into the page when the call is closed
  }
  await Promise.all(loading);
  if (call) (await import("./live/follow")).followCall(call);
}

/** A form that only script can send is inert until its script is there: the browser would send it as an address. */
function wake(tag: string): void {
  for (const form of document.querySelectorAll<HTMLElement>(`${tag} form[inert]`)) form.inert = false;
}

void start();
