// Live events (server-sent events). The browser comes back by itself and says what it has seen.

export type Listeners = Record<string, (data: never) => void>;

export function listen(address: string, listeners: Listeners): EventSource {
  const source = new EventSource(address);
  for (const [kind, act] of Object.entries(listeners)) {
    source.addEventListener(kind, (event) => (act as (data: unknown) => void)(JSON.parse((event as MessageEvent<string>).data)));
  }
  return source;
}
