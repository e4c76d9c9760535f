// Health, tiles, lanes and dispatchers out of one event.

import { switchLane } from "./controls.js";
import { byId, element, follow, setText } from "./elements.js";
import { count, plural, size, span, whole } from "./wording.js";

const HEALTH = { ok: "Everything works", degraded: "Works, but needs attention", down: "Not sending" };
const SHOWN_DISPATCHERS = 12;
const LANES = { transactional: "Transactional", bulk: "Bulk" };

/** A reason names accounts by id, for anybody may read it at /health; here their labels are better known. */
function named(text, accounts) {
  return accounts.reduce((named, account) => named.replace(account.id, account.label), text);
}

export function showHealth(figures) {
  byId("health").dataset.status = figures.status;
  setText(byId("health-text"), HEALTH[figures.status] ?? figures.status);
  const list = byId("reasons");
  list.hidden = figures.reasons.length === 0;
  follow(
    list,
    figures.reasons,
    (line) => line.part + line.reason,
    () => element("li", "", element("strong"), element("span")),
    (item, line) => {
      item.dataset.status = line.status;
      setText(item.firstChild, named(line.reason, figures.endpoints));
      setText(item.lastChild, line.detail);
    },
  );
}

function tile(name, value, note, alarming = false) {
  const figure = document.querySelector(`[data-figure="${name}"]`);
  setText(figure, value);
  figure.parentElement.classList.toggle("alarming", alarming);
  if (note) setText(document.querySelector(`[data-note="${name}"]`), note);
}

export function showTiles(figures) {
  const { messages, redis_queue: queue, throughput } = figures;
  const { last_hour: hour, last_day: day } = messages;
  const more = (part, value) => (part?.bounded ? `${count(value)}+` : count(value));
  // The series is a second old, the history in Postgres some seconds; but Redis may have been rebuilt meanwhile.
  const sent = Math.max(hour?.sent ?? 0, throughput.sent.reduce((sum, minute) => sum + minute, 0));
  tile("sent", more(hour, sent), `last hour · ${whole(throughput.sent_per_minute)} a minute`);
  tile("queued", count(queue.queue_length), messages.in_campaigns ? `${count(messages.in_campaigns)} wait in campaigns` : "entries in both lanes");
  tile("sending", count(messages.sending), `${plural(figures.worker.dispatchers.alive.length, "dispatcher")} at work`);
  tile("retrying", more(messages, messages.retrying), "wait for their next try");
  tile("failed", more(day, day?.failed), "last 24 hours", day?.failed > 0);
  tile("unknown", more(day, day?.unknown), messages.outcome_unknown_yet ? `last 24 hours · ${whole(messages.outcome_unknown_yet)} being checked` : "last 24 hours", day?.unknown > 0);
}

function makeLane({ name }) {
  const button = element("button", "quiet small");
  button.type = "button";
  button.addEventListener("click", () => switchLane(name, LANES[name] ?? name, button.dataset.stopped === "true"));
  const head = element("div", "lane-head", element("strong"), element("span", "badge"), element("span", "depth"), button);
  const bar = element("div", "bar-track", element("div", "bar-held"), element("div", "bar-waiting"));
  return element("div", "lane", head, bar, element("p", "hint"));
}

function updateLane(item, { name, figures: lane, most, stopped, reason }) {
  const [title, badge, depth, button] = item.firstChild.children;
  button.dataset.stopped = String(stopped);
  setText(button, stopped ? "Start" : "Stop");
  button.setAttribute("aria-label", `${stopped ? "Start" : "Stop"} the ${(LANES[name] ?? name).toLowerCase()} lane`);
  setText(title, LANES[name] ?? name);
  badge.hidden = !stopped;
  badge.dataset.tone = "bad";
  setText(badge, "stopped");
  setText(depth, count(lane.length));
  const [held, waiting] = item.children[1].children;
  held.style.width = `${(100 * lane.pending) / most}%`;
  waiting.style.width = `${(100 * lane.waiting) / most}%`;
  const age = lane.waiting ? ` · oldest waits ${span(lane.lag_seconds)}` : "";
  setText(item.lastChild, stopped && reason ? reason : `${whole(lane.pending)} in hand, ${whole(lane.waiting)} waiting${age}`);
}

export function showLanes(figures) {
  const { lanes, scheduled } = figures.redis_queue;
  const { stopped_lanes: stopped = [], stop_reason: reason } = figures.messages;
  const most = Math.max(10, ...Object.values(lanes).map((lane) => lane.length));
  const items = Object.entries(lanes).map(([name, lane]) => ({ name, figures: lane, most, stopped: stopped.includes(name), reason }));
  follow(byId("lanes"), items, (item) => item.name, makeLane, updateLane);
  const { alive } = figures.worker.dispatchers;
  const shown = alive.slice(0, SHOWN_DISPATCHERS);
  if (alive.length > shown.length) shown.push(`${whole(alive.length - shown.length)} more`);
  const names = shown.length ? shown : ["none alive"];
  follow(byId("dispatchers"), names, (name) => name, () => element("li"), (item, name) => {
    setText(item, name);
    item.dataset.tone = alive.length ? "good" : "bad";
  });
  byId("dispatchers").title = scheduled ? `${whole(scheduled)} entries are parked until later` : "";
}

export function showFooter(figures) {
  const { database } = figures;
  const parts = [];
  if (database.latency_ms !== null) parts.push(`Postgres ${database.latency_ms.toFixed(1)} ms`);
  if (database.size_bytes !== null) parts.push(size(database.size_bytes));
  if (database.media_files) parts.push(`${plural(database.media_files, "upload")} kept (${size(database.media_bytes)})`);
  setText(byId("stores"), parts.join(" · "));
}
