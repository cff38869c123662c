// Fetches pages as the server renders them now. Requests close together are merged into one.

import { ApiError, signedOut, unreachable } from "./http";

const MERGE_MS = 250;

/** Returns a function that fetches the current page and passes it to `draw`. */
export function pageRefresher(draw: (page: Document) => void): () => void {
  return merged(async () => {
    const page = await fetchPage(location.href).catch(() => null);
    if (page) draw(page);
  });
}

/** A page of this server. Throws ApiError, with the heading of the error page as its message. */
export async function fetchPage(address: string): Promise<Document> {
  const response = await fetch(address, { headers: { Accept: "text/html" } }).catch(() => null);
  if (!response) throw unreachable();
  if (response.redirected) throw signedOut();
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
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
