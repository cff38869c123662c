// The simulated carrier on this computer speaks ws://, but the SDK insists on wss://. This lets the SDK reach that one
// host without TLS, and no other. It is installed only when the server names a loopback simulator. The SDK reads the
// global WebSocket once, so it must be installed before the SDK loads.

export function plainAddress(address: string, host: string): string {
  const url = new URL(address);
  if (url.protocol === "wss:" && url.host === host) url.protocol = "ws:";
  return url.href;
}

const LOOPBACK = /^(localhost|127\.0\.0\.1|\[::1\]|[a-z0-9-]+\.localhost)(:\d+)?$/;

/** Throws if `host` is not on this computer. */
export function allowPlainSocket(host: string): void {
  if (!LOOPBACK.test(host)) throw new Error("the simulated carrier must be on this computer");
  const Original = globalThis.WebSocket;
  globalThis.WebSocket = class extends Original {
    constructor(address: string | URL, protocols?: string | string[]) {
      super(plainAddress(String(address), host), protocols);
    }
  };
}
