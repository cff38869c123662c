// This browser's leg of a call, and which of the server's calls it belongs to.

import { isWithheld } from "../page/format";
import type { ListedCall } from "../page/api_types";

/** `from` is set for incoming calls: the server identifies those by the caller's leg, not by ours. */
export interface Leg {
  readonly sid: string;
  readonly from: string | null;
}

export function belongsTo({ sid, from }: Leg, call: Pick<ListedCall, "call_sid" | "state" | "direction" | "number">): boolean {
  if (from === null) return call.call_sid === sid;
  return call.state === "live" && call.direction === "incoming" && (call.number === from || (isWithheld(call.number) && isWithheld(from)));
}
