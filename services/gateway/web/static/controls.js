// What an operator does to sending as a whole: stop and start a lane, choose the pace.

import { call, newKey } from "./api.js";
import { byId, setText } from "./elements.js";
import { ask } from "./question.js";

async function change(method, path, body) {
  const hint = byId("control-hint");
  try {
    const headers = { "Content-Type": "application/json", "Idempotency-Key": newKey() };
    const answer = await call(method, path, { headers, body: JSON.stringify(body) });
    setText(hint, answer.status < 300 ? "" : answer.body.message);
    return answer.status < 300 ? answer.body.results : null;
  } catch {
    setText(hint, "There was no answer; please look before you try again.");
    return null;
  }
}

/** Stops a lane, after asking why, or starts it again. */
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

function showPace(results) {
  if (!results) return;
  const { profile, warnings, messages_per_minute: rate } = results;
  byId("pace").value = profile.name;
  const parts = [rate === null ? "No limit" : `About ${rate} campaign messages a minute and account`, ...warnings];
  setText(byId("pace-note"), parts.join("; "));
}

/** Shows the rate profile in force and lets it be changed. */
export async function startPace() {
  const select = byId("pace");
  select.addEventListener("change", async () => {
    select.disabled = true;
    showPace((await change("PUT", "/api/rate-profile", { name: select.value })) ?? (await inForce()));
    select.disabled = false;
  });
  showPace(await inForce());
}

async function inForce() {
  try {
    const { status, body } = await call("GET", "/api/rate-profile");
    return status === 200 ? body.results : null;
  } catch {
    return null;
  }
}
