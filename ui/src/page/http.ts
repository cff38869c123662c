// Talking to our own API. Its errors have one shape: {"error": {"code", "message"}}.

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
  return ask<T>("GET", address, undefined, signal);
}

/** JSON sent with POST, PATCH, PUT or DELETE; an empty answer is null. */
export function send<T>(method: "POST" | "PATCH" | "PUT" | "DELETE", address: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  return ask<T>(method, address, body, signal);
}

/** As `get`, but null where the route or the thing does not exist. */
export async function getIfThere<T>(address: string, signal?: AbortSignal): Promise<T | null> {
  try {
    return await get<T>(address, signal);
  } catch (error) {
    if (error instanceof ApiError && (error.status === 404 || error.status === 405)) return null;
    throw error;
  }
}

async function ask<T>(method: string, address: string, body: unknown, signal?: AbortSignal): Promise<T> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer: Response;
  try {
    answer = await fetch(address, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "unreachable", "The server cannot be reached. Check the network and try again.");
  }
  const text = await answer.text();
  if (!answer.ok) throw problem(answer.status, text);
  return (text ? JSON.parse(text) : null) as T;
}

export function problem(status: number, text: string): ApiError {
  try {
    const { error } = JSON.parse(text) as { error: { code: string; message: string } };
    return new ApiError(status, error.code, error.message);
  } catch {
    return new ApiError(status, `http_${status}`, status === 401 ? "You are signed out. Load the page again." : `The server answered ${status}.`);
  }
}

/** What to show a person for any failure. */
export function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
