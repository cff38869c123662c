// The current position in the call of the page, in milliseconds: the player's, or that of the live call.

import { positionOf } from "./format";

export function currentPosition(): number {
  const review = document.querySelector<HTMLElement>("call-review[data-ready]");
  const live = document.querySelector<HTMLElement>("[data-live-call]");
  return Math.round(Number(review?.dataset.positionMs ?? live?.dataset.positionMs ?? positionOf(location.hash) ?? 0));
}
