// What goes wrong on a browser call, in words that a person can act on.
// Codes: the error classes of @twilio/voice-sdk 2.18.5, and 31208, which older gateways still send.

export interface Advice {
  /** What happened, in one short sentence. */
  readonly what: string;
  /** What to do now. */
  readonly todo: string;
}

const CONNECTION: Advice = {
  what: "The line to the carrier broke.",
  todo: "Check the network. If other pages load, a firewall may block WebSockets or UDP to the carrier.",
};
const ACCESS: Advice = {
  what: "The carrier does not accept this server's access token.",
  todo: "An administrator should run “callreel doctor”: the API key, its secret and the account must belong together.",
};
const EXPIRED: Advice = {
  what: "The access to the carrier has run out.",
  todo: "Load the page again. If it happens at once, the clock of the server is wrong.",
};
const MICROPHONE_REFUSED: Advice = {
  what: "The browser may not use the microphone.",
  todo: "Allow the microphone for this page (the icon beside the address), then call again.",
};
const INTERNAL: Advice = {
  what: "The carrier did not understand this page.",
  todo: "Load the page again. If it stays, tell an administrator the code below.",
};
const MEDIA: Advice = {
  what: "The sound did not come through.",
  todo: "A firewall or VPN may block UDP. Try another network, or ask for UDP ports 10000-60000 to the carrier to be opened.",
};

const ADVICE: Readonly<Record<number, Advice>> = {
  20101: ACCESS,
  20104: EXPIRED,
  20151: ACCESS,
  31000: { what: "The call failed for a reason the carrier does not name.", todo: "Call again. If it stays, tell an administrator the code below." },
  31001: { what: "The carrier does not know this server's TwiML app.", todo: "An administrator should check the TwiML app in the settings; “callreel doctor” names it." },
  31002: { what: "The carrier refused the call.", todo: "Check the number. Some countries must be allowed in the carrier's settings first." },
  31003: { what: "The carrier did not answer in time.", todo: "Check the network, then call again." },
  31005: CONNECTION,
  31008: { what: "The caller hung up before you answered.", todo: "Call back if you know the number." },
  31009: CONNECTION,
  31100: INTERNAL,
  31101: INTERNAL,
  31102: ACCESS,
  31103: INTERNAL,
  31104: INTERNAL,
  31105: { what: "Your user name cannot be used on the carrier's lines.", todo: "An administrator should give you a name of letters, digits and underscores." },
  31107: INTERNAL,
  31201: ACCESS,
  31202: ACCESS,
  31203: { what: "The carrier does not find the account.", todo: "An administrator should check the account's number and whether it is suspended." },
  31204: ACCESS,
  31205: EXPIRED,
  31206: { what: "Too many calls in too short a time.", todo: "Wait a minute, then call again." },
  31207: { what: "The carrier finds this server's token too long-lived.", todo: "An administrator should set a shorter token life (24 hours at most)." },
  31208: MICROPHONE_REFUSED,
  31209: { what: "The call could not be taken up again.", todo: "Call again; what was said so far is kept." },
  31210: INTERNAL,
  31212: INTERNAL,
  31400: INTERNAL,
  31401: MICROPHONE_REFUSED,
  31402: { what: "The microphone could not be opened.", todo: "Is one plugged in, and does no other program hold it? Then call again." },
  31404: { what: "The carrier does not know this number.", todo: "Check the number, with the code of its country." },
  31480: { what: "Nobody can be reached there now.", todo: "Try again later." },
  31486: { what: "The line is busy.", todo: "Try again in a few minutes." },
  31603: { what: "The call was declined.", todo: "Try again later." },
  53000: CONNECTION,
  53001: CONNECTION,
  53400: { what: "This browser could not prepare the sound.", todo: "Load the page again, or use a newer browser." },
  53402: { what: "This browser did not understand the carrier's sound.", todo: "Load the page again, or use a newer browser." },
  53405: MEDIA,
};

const UNKNOWN: Advice = { what: "The call failed.", todo: "Call again. If it stays, tell an administrator the code below." };

/** `code` of an SDK error, or nothing for a failure of our own. */
export function advice(code: number | undefined): Advice {
  return (code !== undefined && ADVICE[code]) || UNKNOWN;
}

export const KNOWN_CODES: readonly number[] = Object.keys(ADVICE).map(Number);

/** Why a browser cannot call at all, or null. */
export function obstacle(page: { secure: boolean; microphone: boolean; webrtc: boolean }): Advice | null {
  if (!page.secure) return { what: "Browsers give no microphone to this address.", todo: "Open the page by https, or as http://localhost on the machine itself." };
  if (!page.webrtc || !page.microphone) return { what: "This browser cannot make calls.", todo: "Use a current Chrome, Edge, Firefox or Safari." };
  return null;
}

const WARNINGS: Readonly<Record<string, string>> = {
  "high-rtt": "The network is slow: words arrive late.",
  "low-mos": "The line is poor.",
  "high-jitter": "The network is uneven: words may break up.",
  "high-packet-loss": "The network loses sound: words may be missing.",
  "high-packets-lost-fraction": "The network loses sound: words may be missing.",
  "constant-audio-input-level": "Nothing comes from your microphone. Is it muted by a switch or by the system?",
  "constant-audio-output-level": "Nothing is heard from the other side.",
  "low-bytes-received": "No sound arrives.",
  "low-bytes-sent": "No sound leaves. Check the microphone.",
  "ice-connectivity-lost": "The sound was cut off; trying to get it back.",
};

/** A quality warning of the SDK as a sentence. */
export function warning(name: string): string {
  return WARNINGS[name] ?? "The line has a problem.";
}
