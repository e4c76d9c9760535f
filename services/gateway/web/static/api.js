// Calls of the API by the login that the browser keeps. Every change carries an Idempotency-Key.

/** A new key. Not crypto.randomUUID(), which browsers offer on https and localhost only. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `web-${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** {status, body}: body is the parsed envelope, or one made of what came instead. Throws when there was no answer. */
export async function call(method, path, { headers = {}, body } = {}) {
  const response = await fetch(path, { method, headers, body, credentials: "same-origin" });
  const text = await response.text();
  let parsed;
  try {
    parsed = JSON.parse(text);
  } catch {
    parsed = { code: "ERROR", message: text.slice(0, 500) || response.statusText };
  }
  return { status: response.status, body: parsed };
}
