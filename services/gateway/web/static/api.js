// Calls of the API by the login that the browser keeps. Every change carries an Idempotency-Key.

/** @import { Answer } from "../answers.js" */

// Where Paceline lies is where this file was loaded from, less `static/<version>/`: a proxy may have it below a path of its own.
const ROOT = new URL("../../", import.meta.url);

/** The address of a path that begins with "/", such as "/api/messages". @param {string} path */
export function address(path) {
  return new URL(`.${path}`, ROOT);
}

/** A new key. Not crypto.randomUUID(), which browsers offer on https and localhost only. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `web-${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/**
 * Throws when there was no answer. One that is no JSON, such as a proxy's page, counts as refused, in its own words.
 * @template Results
 * @param {string} method
 * @param {string} path
 * @param {{ headers?: Record<string, string>, body?: BodyInit | null }} [request]
 * @returns {Promise<Answer<Results>>}
 */
export async function call(method, path, { headers = {}, body } = {}) {
  const response = await fetch(address(path), { method, headers, body, credentials: "same-origin" });
  const { ok, status } = response;
  const text = await response.text();
  try {
    return { ok, status, body: JSON.parse(text) };
  } catch {
    return { ok: false, status, body: { code: "ERROR", message: text.slice(0, 500) || response.statusText } };
  }
}
