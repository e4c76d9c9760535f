// What an operator does to sending as a whole: stop and start a lane, choose the pace.

import { call, newKey } from "./api.js";
import { byId, setText } from "./elements.js";
import { ask } from "./question.js";

/** @import { Answer, RateProfileAnswer } from "../answers.js" */

/**
 * The results, or null when there are none: the hint says why.
 * @template Results
 * @param {string} method
 * @param {string} path
 * @param {object} body
 * @returns {Promise<Results | null>}
 */
async function change(method, path, body) {
  const hint = byId("control-hint");
  try {
    const headers = { "Content-Type": "application/json", "Idempotency-Key": newKey() };
    /** @type {Answer<Results>} */
    const answer = await call(method, path, { headers, body: JSON.stringify(body) });
    setText(hint, answer.ok ? "" : answer.body.message);
    return answer.ok ? answer.body.results : null;
  } catch {
    setText(hint, "There was no answer; please look before you try again.");
    return null;
  }
}

/** Stops a lane, after asking why, or starts it again. @param {string} lane @param {string} name @param {boolean} stopped */
export async function switchLane(lane, name, stopped) {
  if (stopped) return change("POST", "/api/start", { lane });
  const reason = await ask({
    title: `Stop the ${name.toLowerCase()} lane?`,
    text: "No attempt begins in it until it is started again. What is being sent now ends as usual, nothing is lost.",
    yes: "Stop it",
    no: "Go on",
    reason: "Why?",
  });
  return reason === null ? null : change("POST", "/api/stop", { lane, reason });
}

/** @param {RateProfileAnswer | null} results */
function showPace(results) {
  if (!results) return;
  const { profile, warnings, messages_per_minute: rate } = results;
  byId("pace", HTMLSelectElement).value = profile.name;
  const parts = [rate === null ? "No limit" : `About ${rate} campaign messages a minute and account`, ...warnings];
  setText(byId("pace-note"), parts.join("; "));
}

/** Shows the rate profile in force and lets it be changed. */
export async function startPace() {
  const select = byId("pace", HTMLSelectElement);
  select.addEventListener("change", async () => {
    select.disabled = true;
    showPace((await change("PUT", "/api/rate-profile", { name: select.value })) ?? (await inForce()));
    select.disabled = false;
  });
  showPace(await inForce());
}

/** @returns {Promise<RateProfileAnswer | null>} */
async function inForce() {
  try {
    /** @type {Answer<RateProfileAnswer>} */
    const answer = await call("GET", "/api/rate-profile");
    return answer.ok ? answer.body.results : null;
  } catch {
    return null;
  }
}
