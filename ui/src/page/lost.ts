// One line at the foot of the page while live events do not come, so that nobody takes still text for silence.

import { el } from "./dom";

const PATIENCE_MS = 3000;

interface Told {
  lost(): void;
  back(): void;
  signedOut(): void;
}

const losing = new Set<object>();
let line: HTMLElement | null = null;

/** For one stream of events; the line goes when all of them are back. */
export function connectionLost(): Told {
  const me = {};
  let timer: ReturnType<typeof setTimeout> | undefined;
  return {
    lost() {
      timer ??= setTimeout(() => {
        losing.add(me);
        show("The connection to the server is lost. Trying again; nothing that is said gets lost.");
      }, PATIENCE_MS);
    },
    back() {
      clearTimeout(timer);
      timer = undefined;
      losing.delete(me);
      if (!losing.size) line?.setAttribute("hidden", "");
    },
    signedOut() {
      clearTimeout(timer);
      losing.add(me);
      show("You are signed out, and this page no longer follows. ", el("a", { href: location.href }, "Sign in again"));
    },
  };
}

function show(...said: (string | Node)[]): void {
  line ??= document.body.appendChild(el("p.lost", { role: "status", hidden: true }));
  line.replaceChildren(...said);
  line.hidden = false;
}
