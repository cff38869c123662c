// Live events (server-sent events), until they are closed. A browser comes back by itself from a broken connection and
// says what it has seen, but takes any other answer than an event stream as final: a proxy's 502 while the server is
// restarted would leave the page still for good. So this comes back from those too, and says so while it takes long.
// A page that nobody sees lets its connection go after a while: a browser has six for all tabs of a server.

import { connectionLost } from "./lost";

export type Listeners = Record<string, (data: never) => void>;

export interface Listening {
  close(): void;
}

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 15_000;
const UNSEEN_MS = 30_000;

/** Call the listener of each event's kind with its data, from now on; nothing that lasts is missed or comes twice. */
export function listen(address: string, listeners: Listeners): Listening {
  let seen = "";
  let failures = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let unseen: ReturnType<typeof setTimeout> | undefined;
  let source: EventSource;
  const told = connectionLost();

  function open(): void {
    timer = undefined;
    source = new EventSource(afterSeen(address, seen));
    source.addEventListener("open", () => {
      failures = 0;
      told.back();
    });
    source.addEventListener("error", () => void broken());
    for (const [kind, act] of Object.entries(listeners)) {
      source.addEventListener(kind, (event) => {
        const { data, lastEventId } = event as MessageEvent<string>;
        if (lastEventId) seen = lastEventId;
        (act as (data: unknown) => void)(JSON.parse(data));
      });
    }
  }

  async function broken(): Promise<void> {
    const given = source.readyState === EventSource.CLOSED;
    told.lost();
    if (!given) return;
    timer = setTimeout(open, waitMs(failures++));
    if (await isSignedOut()) {
      clearTimeout(timer);
      told.signedOut();
    }
  }

  function pause(): void {
    clearTimeout(timer);
    timer = undefined;
    source.close();
    told.back();
  }

  function seenOrNot(): void {
    if (document.hidden) unseen = setTimeout(pause, UNSEEN_MS);
    else {
      clearTimeout(unseen);
      if (source.readyState === EventSource.CLOSED && timer === undefined) open();
    }
  }

  open();
  document.addEventListener("visibilitychange", seenOrNot);
  return {
    close: () => {
      document.removeEventListener("visibilitychange", seenOrNot);
      clearTimeout(unseen);
      pause();
    },
  };
}

/** The address that goes on behind the last event that came. */
export function afterSeen(address: string, seen: string): string {
  if (!seen) return address;
  const [path, query = ""] = address.split("?");
  const asked = new URLSearchParams(query);
  asked.set("after", seen);
  return `${path}?${asked}`;
}

/** How long to wait before the next try, after so many in a row that were refused. */
export function waitMs(failures: number): number {
  return Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** failures);
}

async function isSignedOut(): Promise<boolean> {
  const answer = await fetch("/api/people/me", { headers: { Accept: "application/json" } }).catch(() => null);
  return answer?.status === 401;
}
