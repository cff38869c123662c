// A turn that a language model's answer cites, as a link that plays it.

import type { Role } from "../page/api_types";
import { el } from "../page/dom";

export interface CitedTurn {
  role: Role;
  start_ms: number;
  text: string;
}

/** An item of a list of class `hits`; `place` says where the turn is. */
export function citedTurn({ role, text }: CitedTurn, party: string, place: string, address: string): HTMLElement {
  return el(`li.hit.${role}`, {}, el("a", { href: address, title: "Play from here" }, el("span.figure", {}, place), " ", el("span.party", {}, party), " ", el("span", {}, text)));
}
