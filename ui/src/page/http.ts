// Requests to our own API. Its errors have one form: {"error": {"code", "message"}}.

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** JSON from a GET. Throws ApiError; status 0 means that the server could not be reached. */
export function get<T>(address: string, signal?: AbortSignal): Promise<T> {
  return request<T>("GET", address, undefined, signal);
}

/** Send JSON; an empty response is null. */
export function send<T>(method: "POST" | "PATCH" | "PUT" | "DELETE", address: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  return request<T>(method, address, body, signal);
}

/** As `get`, but null for a 404 or 405 response. */
export async function getOrNull<T>(address: string, signal?: AbortSignal): Promise<T | null> {
  try {
    return await get<T>(address, signal);
  } catch (error) {
    if (error instanceof ApiError && (error.status === 404 || error.status === 405)) return null;
    throw error;
  }
}

/**
 * A POST whose answer takes long: `step` gets each event `progress`, the result is that of the event `answer`. Aborting it cancels
 * the work at the server. Throws as `send`.
 */
export async function sendAndFollow<T, Step>(address: string, body: unknown, step: (progress: Step) => void, signal: AbortSignal): Promise<T> {
  try {
    const response = await fetch(address, { method: "POST", headers: { Accept: "text/event-stream", "Content-Type": "application/json" }, body: JSON.stringify(body), signal });
    if (!response.ok) throw apiError(response.status, await response.text());
    for await (const { kind, data } of events(response.body!.pipeThrough(new TextDecoderStream()).getReader())) {
      if (kind === "answer") return JSON.parse(data) as T;
      if (kind === "error") throw apiError(response.status, data);
      if (kind === "progress") step(JSON.parse(data) as Step);
    }
  } catch (error) {
    if (signal.aborted || error instanceof ApiError) throw error;
  }
  throw unreachable();
}

/** The events of a stream of text whose data is one line each; comments are left out. */
export async function* events(reader: ReadableStreamDefaultReader<string>): AsyncGenerator<{ kind: string; data: string }> {
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (text + value).split("\n\n");
    text = blocks.pop()!;
    for (const block of blocks) {
      const found = /^event: (.*)\ndata: (.*)$/.exec(block);
      if (found) yield { kind: found[1]!, data: found[2]! };
    }
  }
}

async function request<T>(method: string, address: string, body: unknown, signal?: AbortSignal): Promise<T> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response: Response;
  try {
    response = await fetch(address, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw unreachable();
  }
  const text = await response.text();
  if (!response.ok) throw apiError(response.status, text);
  return (text ? JSON.parse(text) : null) as T;
}

/** Whether a request that failed with `error` may succeed later. */
export function isTemporary(error: unknown): boolean {
  return !(error instanceof ApiError) || error.status === 0 || error.status === 429 || error.status >= 500;
}

export function unreachable(): ApiError {
  return new ApiError(0, "unreachable", "The server cannot be reached. Check your network connection and try again.");
}

export function signedOut(): ApiError {
  return new ApiError(401, "not_signed_in", "You are signed out. Reload the page to sign in.");
}

export function apiError(status: number, text: string): ApiError {
  try {
    const { error } = JSON.parse(text) as { error: { code: string; message: string } };
    return new ApiError(status, error.code, error.message);
  } catch {
    return status === 401 ? signedOut() : new ApiError(status, `http_${status}`, `The server responded with error ${status}.`);
  }
}

/** The message to show for any failure. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
