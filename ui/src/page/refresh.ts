// The same page as the server would draw it now. Causes that come close together make one request.

import { ApiError } from "./http";

const GATHER_MS = 250;

export function refresher(draw: (page: Document) => void): () => void {
  return gathered(async () => {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
    if (!answer?.ok || answer.redirected) return;
    draw(new DOMParser().parseFromString(await answer.text(), "text/html"));
  });
}

/** A page of ours. Throws ApiError, with the words of the page that came instead; status 0: nobody answered. */
export async function pageAt(address: string): Promise<Document> {
  const answer = await fetch(address, { headers: { Accept: "text/html" } }).catch(() => null);
  if (!answer) throw new ApiError(0, "unreachable", "The server cannot be reached. Check the network and try again.");
  if (answer.redirected) throw new ApiError(401, "not_signed_in", "You are signed out. Load the page again.");
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (!answer.ok) throw new ApiError(answer.status, `http_${answer.status}`, page.querySelector("h1")?.textContent || `The server answered ${answer.status}.`);
  return page;
}

/** `act`, once for all the calls that come within a quarter of a second. */
export function gathered(act: () => void | Promise<void>, afterMs = GATHER_MS): () => void {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    setTimeout(() => {
      waiting = false;
      void act();
    }, afterMs);
  };
}
