// Fetches pages as the server renders them now. Requests close together are merged into one.

import { backoffMs } from "./events";
import { ApiError, isTemporary, signedOut, unreachable } from "./http";
import { localizeTimes } from "./times";

const MERGE_MS = 250;

type Draw<T> = (page: T) => void;

const requestPage = refreshQueue(() => fetchPage(location.href));

/** Returns a function that fetches the current page and passes it to `draw`. */
export function pageRefresher(draw: Draw<Document>): () => void {
  return () => requestPage(draw);
}

/**
 * Returns a function that fetches the page and passes it to the given `draw`. One fetch at a time serves all that were given
 * before it began: the answer to an earlier one would bring back an earlier state. A failure that may pass is tried again.
 */
export function refreshQueue<T>(fetchNow: () => Promise<T>, wait: (ms: number) => Promise<void> = sleep): (draw: Draw<T>) => void {
  const waiting = new Set<Draw<T>>();
  let working = false;
  let failures = 0;

  async function serve(): Promise<void> {
    await wait(failures ? backoffMs(failures - 1) : MERGE_MS);
    const served = [...waiting];
    waiting.clear();
    const result = await fetchNow().then((page) => ({ page }), (error: unknown) => ({ error }));
    failures = "error" in result && isTemporary(result.error) ? failures + 1 : 0;
    if (failures) for (const draw of served) waiting.add(draw);
    if ("page" in result) for (const draw of served) draw(result.page);
  }

  async function work(): Promise<void> {
    if (working) return;
    working = true;
    try {
      while (waiting.size) await serve();
    } finally {
      working = false;
    }
  }

  return (draw) => {
    waiting.add(draw);
    void work();
  };
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A page of this server, with times in the local time zone. Throws ApiError, with the heading of the error page as its message. */
export async function fetchPage(address: string): Promise<Document> {
  const response = await fetch(address, { headers: { Accept: "text/html" } }).catch(() => null);
  if (!response) throw unreachable();
  if (response.redirected) throw signedOut();
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  localizeTimes(page);
  if (!response.ok) throw new ApiError(response.status, `http_${response.status}`, page.querySelector("h1")?.textContent || `The server responded with error ${response.status}.`);
  return page;
}

/** Runs `action` once, `delayMs` after the first of several calls. */
export function merged(action: () => void | Promise<void>, delayMs = MERGE_MS): () => void {
  let scheduled = false;
  return () => {
    if (scheduled) return;
    scheduled = true;
    setTimeout(() => {
      scheduled = false;
      void action();
    }, delayMs);
  };
}

/** Runs `action` once, `delayMs` after the last of several calls. */
export function debounced(action: () => void, delayMs: number): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(action, delayMs);
  };
}
