// Health, tiles, lanes and dispatchers out of one event.

import { switchLane } from "./controls.js";
import { byId, element, first, follow, setText } from "./elements.js";
import { count, plural, size, span, whole } from "./wording.js";

/** @import { Figures, FiguresAccount, FiguresLane } from "../answers.js" */

const HEALTH = { ok: "Everything works", degraded: "Works, but needs attention", down: "Not sending" };
const SHOWN_DISPATCHERS = 12;
/** @type {Record<string, string>} */
const LANES = { transactional: "Transactional", bulk: "Bulk" };

/** A reason names accounts by id, for anybody may read it at /health; here their labels are better known. @param {string} text @param {FiguresAccount[]} accounts */
function named(text, accounts) {
  return accounts.reduce((named, account) => named.replace(account.id, account.label), text);
}

/** @param {Figures} figures */
export function showHealth(figures) {
  byId("health").dataset.status = figures.status;
  setText(byId("health-text"), HEALTH[figures.status] ?? figures.status);
  const list = byId("reasons");
  list.hidden = figures.reasons.length === 0;
  follow(
    list,
    figures.reasons,
    (line) => line.part + line.reason,
    () => {
      const reason = element("strong");
      const detail = element("span");
      return { root: element("li", "", reason, detail), reason, detail };
    },
    (item, line) => {
      item.root.dataset.status = line.status;
      setText(item.reason, named(line.reason, figures.endpoints));
      setText(item.detail, line.detail);
    },
  );
}

/** @param {string} name @param {string} value @param {string} note */
function tile(name, value, note, alarming = false) {
  const figure = first(document, `[data-figure="${name}"]`);
  setText(figure, value);
  figure.parentElement?.classList.toggle("alarming", alarming);
  setText(first(document, `[data-note="${name}"]`), note);
}

/** @param {Figures} figures */
export function showTiles(figures) {
  const { messages, redis_queue: queue, throughput } = figures;
  const { last_hour: hour, last_day: day } = messages;
  /** @param {{ bounded?: boolean } | null} part @param {number} [value] */
  const more = (part, value) => (part?.bounded ? `${count(value)}+` : count(value));
  // The series is a second old, the history in Postgres some seconds; but Redis may have been rebuilt meanwhile.
  const sent = Math.max(hour?.sent ?? 0, throughput.sent.reduce((sum, minute) => sum + minute, 0));
  tile("sent", more(hour, sent), `last hour · ${whole(throughput.sent_per_minute)} a minute`);
  tile("queued", count(queue.queue_length), messages.in_campaigns ? `${count(messages.in_campaigns)} wait in campaigns` : "entries in both lanes");
  tile("sending", count(messages.sending), `${plural(figures.worker.dispatchers.alive.length, "dispatcher")} at work`);
  tile("retrying", more(messages, messages.retrying), "wait for their next try");
  tile("failed", more(day, day?.failed), "last 24 hours", (day?.failed ?? 0) > 0);
  tile("unknown", more(day, day?.unknown), messages.outcome_unknown_yet ? `last 24 hours · ${whole(messages.outcome_unknown_yet)} being checked` : "last 24 hours", (day?.unknown ?? 0) > 0);
}

/** @typedef {{ name: string, figures: FiguresLane, most: number, stopped: boolean, reason?: string | null }} Lane */

/** @param {Lane} lane */
function makeLane({ name }) {
  const button = element("button", "quiet small");
  button.type = "button";
  button.addEventListener("click", () => switchLane(name, LANES[name] ?? name, button.dataset.stopped === "true"));
  const title = element("strong");
  const badge = element("span", "badge");
  const depth = element("span", "depth");
  const held = element("div", "bar-held");
  const waiting = element("div", "bar-waiting");
  const hint = element("p", "hint");
  const head = element("div", "lane-head", title, badge, depth, button);
  const root = element("div", "lane", head, element("div", "bar-track", held, waiting), hint);
  return { root, button, title, badge, depth, held, waiting, hint };
}

/** @param {ReturnType<typeof makeLane>} row @param {Lane} lane */
function updateLane({ button, title, badge, depth, held, waiting, hint }, { name, figures: lane, most, stopped, reason }) {
  button.dataset.stopped = String(stopped);
  setText(button, stopped ? "Start" : "Stop");
  button.setAttribute("aria-label", `${stopped ? "Start" : "Stop"} the ${(LANES[name] ?? name).toLowerCase()} lane`);
  setText(title, LANES[name] ?? name);
  badge.hidden = !stopped;
  badge.dataset.tone = "bad";
  setText(badge, "stopped");
  setText(depth, count(lane.length));
  held.style.width = `${(100 * lane.pending) / most}%`;
  waiting.style.width = `${(100 * lane.waiting) / most}%`;
  const age = lane.waiting ? ` · oldest waits ${span(lane.lag_seconds)}` : "";
  setText(hint, stopped && reason ? reason : `${whole(lane.pending)} in hand, ${whole(lane.waiting)} waiting${age}`);
}

/** @param {Figures} figures */
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
  follow(byId("dispatchers"), names, (name) => name, () => ({ root: element("li") }), ({ root }, name) => {
    setText(root, name);
    root.dataset.tone = alive.length ? "good" : "bad";
  });
  byId("dispatchers").title = scheduled ? `${whole(scheduled)} entries are parked until later` : "";
}

/** @param {Figures} figures */
export function showFooter(figures) {
  const { database } = figures;
  const parts = [];
  if (database.latency_ms !== null) parts.push(`Postgres ${database.latency_ms.toFixed(1)} ms`);
  if (database.size_bytes !== null) parts.push(size(database.size_bytes));
  if (database.media_files) parts.push(`${plural(database.media_files, "upload")} kept (${size(database.media_bytes ?? 0)})`);
  setText(byId("stores"), parts.join(" · "));
}
