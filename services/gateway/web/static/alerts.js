// The alerts that are on, the worst first: what somebody should do something about.

import { byId, element, follow, setText } from "./elements.js";
import { ago } from "./wording.js";

const TONES = { critical: "bad", warning: "warn" };

function make() {
  return element("li", "alert", element("span", "badge"), element("strong"), element("span", "alert-text"), element("span", "alert-since"));
}

function update(item, alert) {
  const [severity, whom, text, since] = item.children;
  item.dataset.name = alert.name;
  severity.dataset.tone = TONES[alert.severity] ?? "warn";
  setText(severity, alert.severity);
  setText(whom, alert.label ?? alert.endpoint ?? "");
  whom.hidden = !alert.endpoint;
  setText(text, alert.text);
  setText(since, `begun ${ago(alert.since)}`);
}

export function showAlerts(alerts = []) {
  byId("alerts-box").hidden = alerts.length === 0;
  follow(byId("alerts"), alerts, (alert) => `${alert.name} ${alert.endpoint ?? ""}`, make, update);
}
