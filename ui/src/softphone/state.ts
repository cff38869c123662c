// The state of the softphone as a value. Pure: the element draws it, events of the SDK change it.

export type Phase = "loading" | "unavailable" | "idle" | "calling" | "ringing" | "talking" | "incoming";

export interface SoftphoneState {
  readonly phase: Phase;
  /** The other party of the current or last call, as shown. */
  readonly party: string;
  readonly answeredAt: number | null;
  readonly muted: boolean;
  readonly reconnecting: boolean;
  /** The keys pressed during this call. */
  readonly digits: string;
  /** A sentence for the person: how the last call ended, or a warning about this one. */
  readonly note: string;
  readonly registered: boolean;
}

export const LOADING: SoftphoneState = {
  phase: "loading",
  party: "",
  answeredAt: null,
  muted: false,
  reconnecting: false,
  digits: "",
  note: "",
  registered: false,
};

export type SoftphoneEvent =
  | { type: "unavailable" }
  | { type: "registration"; active: boolean }
  | { type: "dialled"; party: string }
  | { type: "ringing" }
  | { type: "incoming"; party: string }
  | { type: "answered"; at: number }
  | { type: "mute"; active: boolean }
  | { type: "digit"; digit: string }
  | { type: "reconnecting"; active: boolean }
  | { type: "warning"; note: string }
  | { type: "ended"; note: string };

const ACTIVE: readonly Phase[] = ["calling", "ringing", "talking", "incoming"];

export function isActive(state: SoftphoneState): boolean {
  return ACTIVE.includes(state.phase);
}

export function next(state: SoftphoneState, event: SoftphoneEvent): SoftphoneState {
  switch (event.type) {
    case "unavailable":
      return isActive(state) ? state : { ...state, phase: "unavailable" };
    case "registration":
      return event.active && state.phase === "loading" ? { ...state, phase: "idle", registered: true, note: "" } : { ...state, registered: event.active };
    case "dialled":
      return state.phase === "idle" ? { ...withoutCall(state), phase: "calling", party: event.party } : state;
    case "ringing":
      return state.phase === "calling" ? { ...state, phase: "ringing" } : state;
    case "incoming":
      return state.phase === "idle" ? { ...withoutCall(state), phase: "incoming", party: event.party } : state;
    case "answered":
      return isActive(state) ? { ...state, phase: "talking", answeredAt: event.at, note: "" } : state;
    case "mute":
      return state.phase === "talking" ? { ...state, muted: event.active } : state;
    case "digit":
      return state.phase === "talking" ? { ...state, digits: state.digits + event.digit } : state;
    case "reconnecting":
      return isActive(state) ? { ...state, reconnecting: event.active } : state;
    case "warning":
      return isActive(state) ? { ...state, note: event.note } : state;
    case "ended":
      return isActive(state) ? { ...withoutCall(state), phase: "idle", note: event.note } : { ...state, note: event.note };
  }
}

function withoutCall(state: SoftphoneState): SoftphoneState {
  return { ...state, answeredAt: null, muted: false, reconnecting: false, digits: "", note: "" };
}

/** The status line. */
export function status(state: SoftphoneState): string {
  if (state.reconnecting && isActive(state)) return "Connection lost. Reconnecting…";
  switch (state.phase) {
    case "loading":
      return state.note ? "" : "Connecting to the carrier…";
    case "calling":
      return `Calling ${state.party}…`;
    case "ringing":
      return `Ringing ${state.party}…`;
    case "talking":
      return `Talking to ${state.party}`;
    case "incoming":
      return `${state.party} is calling`;
    default:
      return "";
  }
}

/** The line below the number while there is no call. */
export function readiness(state: SoftphoneState): string {
  if (state.phase !== "idle") return "";
  return state.registered ? "Ready for outgoing and incoming calls" : "Not connected to the carrier. Reconnecting… Incoming calls do not ring on this page.";
}
