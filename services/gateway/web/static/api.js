// Calls of the API by the login that the browser keeps. Every change carries an Idempotency-Key.

// Where Paceline lies is where this file was loaded from, less `static/<version>/`: a proxy may have it below a path of its own.
const ROOT = new URL("../../", import.meta.url);

/** The address of a path that begins with "/", such as "/api/messages". */
export function address(path) {
  return new URL(`.${path}`, ROOT);
}

/** A new key. Not crypto.randomUUID(), which browsers offer on https and localhost only. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `web-${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** {status, body}: body is the parsed envelope, or one made of what came instead. Throws when there was no answer. */
export async function call(method, path, { headers = {}, body } = {}) {
  const response = await fetch(address(path), { method, headers, body, credentials: "same-origin" });
  const text = await response.text();
  let parsed;
  try {
    parsed = JSON.parse(text);
  } catch {
    parsed = { code: "ERROR", message: text.slice(0, 500) || response.statusText };
  }
  return { status: response.status, body: parsed };
}
