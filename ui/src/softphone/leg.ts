// Our end of a call, and which of the server's calls it belongs to.

import type { ListedCall } from "../page/scheme";

/** `from` is set on incoming calls: there our leg is not the one by which the server knows the call. */
export interface Leg {
  readonly sid: string;
  readonly from: string | null;
}

export function isCallOf(call: Pick<ListedCall, "call_sid" | "state" | "direction" | "number">, { sid, from }: Leg): boolean {
  if (from === null) return call.call_sid === sid;
  return call.state === "live" && call.direction === "incoming" && call.number === from;
}
