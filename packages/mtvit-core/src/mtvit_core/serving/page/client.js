// What is asked of the server.

/** Scores below this one are never shown, so they are not asked for. */
export const FLOOR = 0.05;

let token = sessionStorage.getItem("token") || "";

export class Refused extends Error {
  constructor(status, line) { super(line); this.status = status; }
}

export function useToken(value) {
  token = value;
  sessionStorage.setItem("token", value);
}

export const hasToken = () => token !== "";

async function ask(path, options = {}) {
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  let response;
  try {
    response = await fetch(path, { ...options, headers: { ...headers, ...options.headers } });
  } catch (cause) {
    if (cause.name === "AbortError") throw cause;
    throw new Refused(0, "The server does not answer. Is it still running?");
  }
  const told = await response.json().catch(() => ({ error: `The server answered ${response.status}.` }));
  if (!response.ok) throw new Refused(response.status, told.error);
  return told;
}

export const modelCard = () => ask("model");

/** Everything found in an image; `seconds` is the whole way there and back. */
export async function predict(blob, signal) {
  const start = performance.now();
  const headers = { "content-type": blob.type || "application/octet-stream" };
  const told = await ask(`predict?min_score=${FLOOR}`, { method: "POST", body: blob, headers, signal });
  told.milliseconds.total = performance.now() - start;
  return told;
}
