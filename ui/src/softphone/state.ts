// What the softphone is doing, as a value. Pure: the element draws it, the SDK's events change it.

export type Phase = "loading" | "unready" | "idle" | "calling" | "ringing" | "talking" | "incoming";

export interface SoftphoneState {
  readonly phase: Phase;
  /** The number as shown, of the call that is or was. */
  readonly with: string;
  readonly answeredAt: number | null;
  readonly muted: boolean;
  readonly reconnecting: boolean;
  /** A sentence for the person: how the last call ended, or a warning about this one. */
  readonly note: string;
  readonly registered: boolean;
}

export const LOADING: SoftphoneState = {
  phase: "loading",
  with: "",
  answeredAt: null,
  muted: false,
  reconnecting: false,
  note: "",
  registered: false,
};

export type SoftphoneEvent =
  | { is: "missing" }
  | { is: "registered"; yes: boolean }
  | { is: "dialled"; with: string }
  | { is: "ringing" }
  | { is: "offered"; with: string }
  | { is: "answered"; at: number }
  | { is: "muted"; yes: boolean }
  | { is: "reconnecting"; yes: boolean }
  | { is: "warned"; note: string }
  | { is: "ended"; note: string };

const ACTIVE: readonly Phase[] = ["calling", "ringing", "talking", "incoming"];

export function isActive(state: SoftphoneState): boolean {
  return ACTIVE.includes(state.phase);
}

export function next(state: SoftphoneState, event: SoftphoneEvent): SoftphoneState {
  switch (event.is) {
    case "missing":
      return isActive(state) ? state : { ...state, phase: "unready" };
    case "registered":
      return event.yes && state.phase === "loading" ? { ...state, phase: "idle", registered: true, note: "" } : { ...state, registered: event.yes };
    case "dialled":
      return state.phase === "idle" ? { ...quiet(state), phase: "calling", with: event.with } : state;
    case "ringing":
      return state.phase === "calling" ? { ...state, phase: "ringing" } : state;
    case "offered":
      return state.phase === "idle" ? { ...quiet(state), phase: "incoming", with: event.with } : state;
    case "answered":
      return isActive(state) ? { ...state, phase: "talking", answeredAt: event.at, note: "" } : state;
    case "muted":
      return state.phase === "talking" ? { ...state, muted: event.yes } : state;
    case "reconnecting":
      return isActive(state) ? { ...state, reconnecting: event.yes } : state;
    case "warned":
      return isActive(state) ? { ...state, note: event.note } : state;
    case "ended":
      return isActive(state) ? { ...quiet(state), phase: "idle", note: event.note } : { ...state, note: event.note };
  }
}

function quiet(state: SoftphoneState): SoftphoneState {
  return { ...state, answeredAt: null, muted: false, reconnecting: false, note: "" };
}

/** What the status line says. */
export function status(state: SoftphoneState): string {
  if (state.reconnecting && isActive(state)) return "The line was cut; joining again…";
  switch (state.phase) {
    case "loading":
      return state.note ? "" : "Connecting to the carrier…";
    case "calling":
      return `Calling ${state.with}…`;
    case "ringing":
      return `It rings at ${state.with}`;
    case "talking":
      return `Talking with ${state.with}`;
    case "incoming":
      return `${state.with} is calling`;
    default:
      return "";
  }
}

/** What the line below the number says while nothing goes on. */
export function readiness(state: SoftphoneState): string {
  if (state.phase !== "idle") return "";
  return state.registered ? "Ready; incoming calls ring here" : "Not connected to the carrier: trying again. Incoming calls do not ring here now.";
}
