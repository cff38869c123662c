// What can go wrong on a browser call, with advice for the person at the phone.
// Codes: the error classes of @twilio/voice-sdk 2.18.5, and 31208, which older gateways still send.

export interface Advice {
  /** What happened, in one short sentence. */
  readonly problem: string;
  /** What to do now. */
  readonly action: string;
  /** What an administrator can do, where the person at the phone cannot. */
  readonly adminAction?: string;
}

const TELL_ADMINISTRATOR = "Report the code below to an administrator.";
const RELOAD_OR_REPORT = "Reload the page. If it happens again, report the code below to an administrator.";

const CONNECTION: Advice = {
  problem: "The connection to the carrier was lost.",
  action: "Check your network. If other pages load, a firewall may block WebSockets or UDP to the carrier.",
};
const ACCESS: Advice = {
  problem: "The carrier rejected this server's access token.",
  action: TELL_ADMINISTRATOR,
  adminAction: "Run “callreel doctor”: the API key, its secret and the account must belong together.",
};
const EXPIRED: Advice = {
  problem: "The access token for the carrier has expired.",
  action: "Reload the page. If it happens again at once, the server's clock is wrong.",
};
const MICROPHONE_DENIED: Advice = {
  problem: "The browser is not allowed to use the microphone.",
  action: "Allow the microphone for this page (the icon in the address bar), then call again.",
};
const INTERNAL: Advice = { problem: "The carrier did not understand a request of this page.", action: RELOAD_OR_REPORT };
const MEDIA: Advice = {
  problem: "The audio connection failed.",
  action: "A firewall or VPN may block UDP. Try another network, or ask for UDP ports 10000-60000 to the carrier to be opened.",
};
const CODEC: Advice = {
  problem: "This browser cannot process the call's audio.",
  action: "Reload the page, or use a newer browser.",
};

const ADVICE: Readonly<Record<number, Advice>> = {
  20101: ACCESS,
  20104: EXPIRED,
  20151: ACCESS,
  31000: { problem: "The call failed, and the carrier gave no reason.", action: "Call again. If it happens again, report the code below to an administrator." },
  31001: { problem: "The carrier does not recognize this server's TwiML app.", action: TELL_ADMINISTRATOR, adminAction: "Check the TwiML app in the settings. “callreel doctor” shows which one is configured." },
  31002: { problem: "The carrier refused the call.", action: "Check the number. Some countries must first be enabled in the carrier's settings." },
  31003: { problem: "The carrier did not respond in time.", action: "Check your network, then call again." },
  31005: CONNECTION,
  31008: { problem: "The caller hung up before you answered.", action: "Call back if you recognize the number." },
  31009: CONNECTION,
  31100: INTERNAL,
  31101: INTERNAL,
  31102: ACCESS,
  31103: INTERNAL,
  31104: INTERNAL,
  31105: { problem: "The carrier does not accept your user name.", action: TELL_ADMINISTRATOR, adminAction: "Use a name of letters, digits and underscores for this account." },
  31107: INTERNAL,
  31201: ACCESS,
  31202: ACCESS,
  31203: { problem: "The carrier cannot find the account.", action: TELL_ADMINISTRATOR, adminAction: "Check the Account SID, and whether the account is suspended." },
  31204: ACCESS,
  31205: EXPIRED,
  31206: { problem: "Too many calls in too short a time.", action: "Wait a minute, then call again." },
  31207: { problem: "The access token is valid for longer than the carrier allows.", action: TELL_ADMINISTRATOR, adminAction: "Set a shorter token lifetime (24 hours at most)." },
  31208: MICROPHONE_DENIED,
  31209: { problem: "The call could not be reconnected.", action: "Call again. The recording up to this point is kept." },
  31210: INTERNAL,
  31212: INTERNAL,
  31400: INTERNAL,
  31401: MICROPHONE_DENIED,
  31402: { problem: "The microphone could not be opened.", action: "Check that a microphone is connected and that no other program uses it, then call again." },
  31404: { problem: "The carrier does not recognize this number.", action: "Check the number, including its country code." },
  31480: { problem: "The number cannot be reached at the moment.", action: "Try again later." },
  31486: { problem: "The line is busy.", action: "Try again in a few minutes." },
  31603: { problem: "The call was declined.", action: "Try again later." },
  53000: CONNECTION,
  53001: CONNECTION,
  53400: CODEC,
  53402: CODEC,
  53405: MEDIA,
};

const UNKNOWN: Advice = { problem: "The call failed.", action: "Call again. If it happens again, report the code below to an administrator." };

/** `code` of an SDK error, or undefined for an error of this page. */
export function advice(code: number | undefined): Advice {
  return (code !== undefined && ADVICE[code]) || UNKNOWN;
}

/** The advice as text, with the error code. */
export function adviceText(code: number | undefined, administrator: boolean): string {
  const { problem, action, adminAction } = advice(code);
  return `${problem} ${(administrator && adminAction) || action}${code === undefined ? "" : ` (${code})`}`;
}

export const KNOWN_CODES: readonly number[] = Object.keys(ADVICE).map(Number);

/** Why this browser cannot place calls at all, or null. */
export function browserProblem(page: { secure: boolean; microphone: boolean; webrtc: boolean }): Advice | null {
  if (!page.secure) return { problem: "Browsers block the microphone on this address.", action: "Open the page over HTTPS, or as http://localhost on the server itself." };
  if (!page.webrtc || !page.microphone) return { problem: "This browser cannot make calls.", action: "Use a current version of Chrome, Edge, Firefox or Safari." };
  return null;
}

const WARNINGS: Readonly<Record<string, string>> = {
  "high-rtt": "The network is slow: audio arrives late.",
  "low-mos": "The call quality is poor.",
  "high-jitter": "The network is unstable: words may break up.",
  "high-packet-loss": "The network loses audio: words may be missing.",
  "high-packets-lost-fraction": "The network loses audio: words may be missing.",
  "constant-audio-input-level": "Your microphone is silent. Check its mute switch and the system settings.",
  "constant-audio-output-level": "The other party is silent.",
  "low-bytes-received": "No audio is being received.",
  "low-bytes-sent": "No audio is being sent. Check your microphone.",
  "ice-connectivity-lost": "The audio connection was lost. Reconnecting…",
};

/** A quality warning of the SDK as a sentence. */
export function warning(name: string): string {
  return WARNINGS[name] ?? "There is a problem with the call quality.";
}
