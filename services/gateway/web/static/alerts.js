// The alerts that are on, the worst first: what somebody should do something about.

import { byId, element, follow, setText } from "./elements.js";
import { ago } from "./wording.js";

/** @import { FiguresAlert } from "../answers.js" */

const TONES = { critical: "bad", warning: "warn" };

function make() {
  const severity = element("span", "badge");
  const whom = element("strong");
  const text = element("span", "alert-text");
  const since = element("span", "alert-since");
  return { root: element("li", "alert", severity, whom, text, since), severity, whom, text, since };
}

/** @param {ReturnType<typeof make>} item @param {FiguresAlert} alert */
function update({ root, severity, whom, text, since }, alert) {
  root.dataset.name = alert.name;
  severity.dataset.tone = TONES[alert.severity] ?? "warn";
  setText(severity, alert.severity);
  setText(whom, alert.label ?? alert.endpoint ?? "");
  whom.hidden = !alert.endpoint;
  setText(text, alert.text);
  setText(since, `begun ${ago(alert.since)}`);
}

/** @param {FiguresAlert[]} alerts */
export function showAlerts(alerts = []) {
  byId("alerts-box").hidden = alerts.length === 0;
  follow(byId("alerts"), alerts, (alert) => `${alert.name} ${alert.endpoint ?? ""}`, make, update);
}
