// The stand-in carrier on this machine speaks ws://, the SDK insists on wss://. This lets the SDK reach that one host
// in plain text, and no other. It is installed only when the server names a local host, which it does for a loopback
// stand-in alone; the SDK takes the global WebSocket once, so it must be there before the SDK loads.

export function plainAddress(address: string, host: string): string {
  const wanted = new URL(address);
  if (wanted.protocol === "wss:" && wanted.host === host) wanted.protocol = "ws:";
  return wanted.href;
}

const LOOPBACK = /^(localhost|127\.0\.0\.1|\[::1\]|[a-z0-9-]+\.localhost)(:\d+)?$/;

/** Throws if `host` is not on this machine. */
export function allowPlainSocket(host: string): void {
  if (!LOOPBACK.test(host)) throw new Error("the stand-in carrier must be on this machine");
  const Real = globalThis.WebSocket;
  globalThis.WebSocket = class extends Real {
    constructor(address: string | URL, protocols?: string | string[]) {
      super(plainAddress(String(address), host), protocols);
    }
  };
}
