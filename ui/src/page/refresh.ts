// The same page as the server would draw it now. Causes that come close together make one request.

const GATHER_MS = 250;

export function refresher(draw: (page: Document) => void): () => void {
  return gathered(async () => {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
    if (!answer?.ok || answer.redirected) return;
    draw(new DOMParser().parseFromString(await answer.text(), "text/html"));
  });
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
