// A line at the bottom of the page while live events are interrupted, because a still page looks like a silent call.

import { el } from "./dom";

const SHOW_AFTER_MS = 3000;

interface ConnectionNotice {
  lost(): void;
  restored(): void;
  signedOut(): void;
}

const interrupted = new Set<object>();
let line: HTMLElement | null = null;

/** For one event stream; the line disappears when all streams are restored. */
export function connectionNotice(): ConnectionNotice {
  const stream = {};
  let timer: ReturnType<typeof setTimeout> | undefined;
  return {
    lost() {
      timer ??= setTimeout(() => {
        interrupted.add(stream);
        show("Connection to the server lost. Reconnecting… Calls are still being recorded.");
      }, SHOW_AFTER_MS);
    },
    restored() {
      clearTimeout(timer);
      timer = undefined;
      interrupted.delete(stream);
      if (!interrupted.size) line?.setAttribute("hidden", "");
    },
    signedOut() {
      clearTimeout(timer);
      interrupted.add(stream);
      show("You are signed out, so this page is no longer updated. ", el("a", { href: location.href }, "Sign in again"));
    },
  };
}

function show(...content: (string | Node)[]): void {
  line ??= document.body.appendChild(el("p.connection-notice", { role: "status", hidden: true }));
  line.replaceChildren(...content);
  line.hidden = false;
}
