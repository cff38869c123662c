// Server-sent events that reconnect until they are closed. EventSource reconnects after a broken connection, but gives up
// on any other response than an event stream: a proxy's 502 during a restart of the server would end the updates. This
// retries those too, with backoff, and shows a notice while it takes long.
// A hidden page closes its connection after a while: a browser allows six per server over all tabs.

import { connectionNotice } from "./connection_notice";

export type Listeners = Record<string, (data: never) => void>;

export interface Subscription {
  close(): void;
}

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 15_000;
const CLOSE_HIDDEN_MS = 30_000;

/**
 * Calls the listener of each event's kind with its data. Across reconnections no stored event is missed or repeated, except
 * with `renew`: once a page that was hidden for long is visible again, that draws the present state and returns the address
 * which follows it, so that hours of events of many calls are not replayed.
 */
export function subscribe(address: string, listeners: Listeners, renew?: () => Promise<string | null>): Subscription {
  let lastId = "";
  let failures = 0;
  let retryTimer: ReturnType<typeof setTimeout> | undefined;
  let hiddenTimer: ReturnType<typeof setTimeout> | undefined;
  let source: EventSource;
  const notice = connectionNotice();

  function open(): void {
    retryTimer = undefined;
    source = new EventSource(resumeAddress(address, lastId));
    source.addEventListener("open", () => {
      failures = 0;
      notice.restored();
    });
    source.addEventListener("error", () => void failed());
    for (const [kind, listener] of Object.entries(listeners)) {
      source.addEventListener(kind, (event) => {
        const { data, lastEventId } = event as MessageEvent<string>;
        if (lastEventId) lastId = lastEventId;
        (listener as (data: unknown) => void)(JSON.parse(data));
      });
    }
  }

  async function failed(): Promise<void> {
    notice.lost();
    if (source.readyState !== EventSource.CLOSED) return; // the browser reconnects
    retryTimer = setTimeout(open, backoffMs(failures++));
    if (await isSignedOut()) {
      clearTimeout(retryTimer);
      notice.signedOut();
    }
  }

  function pause(): void {
    clearTimeout(retryTimer);
    retryTimer = undefined;
    source.close();
    notice.restored();
  }

  function visibilityChanged(): void {
    if (document.hidden) hiddenTimer = setTimeout(pause, CLOSE_HIDDEN_MS);
    else {
      clearTimeout(hiddenTimer);
      if (source.readyState === EventSource.CLOSED && retryTimer === undefined) void resume();
    }
  }

  async function resume(): Promise<void> {
    const pausedAt = source;
    const renewed = await renew?.();
    if (source !== pausedAt || document.hidden) return; // resumed or hidden meanwhile
    if (renewed) {
      address = renewed;
      lastId = "";
    }
    open();
  }

  open();
  document.addEventListener("visibilitychange", visibilityChanged);
  return {
    close: () => {
      document.removeEventListener("visibilitychange", visibilityChanged);
      clearTimeout(hiddenTimer);
      pause();
    },
  };
}

/** The address that resumes after the event `lastId`. */
export function resumeAddress(address: string, lastId: string): string {
  if (!lastId) return address;
  const [path, query = ""] = address.split("?");
  const parameters = new URLSearchParams(query);
  parameters.set("after", lastId);
  return `${path}?${parameters}`;
}

/** Exponential backoff after this many consecutive failures. */
export function backoffMs(failures: number): number {
  return Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** failures);
}

async function isSignedOut(): Promise<boolean> {
  const response = await fetch("/api/v1/people/me", { headers: { Accept: "application/json" } }).catch(() => null);
  return response?.status === 401;
}
