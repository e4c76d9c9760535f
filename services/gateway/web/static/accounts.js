// A card for each WhatsApp account: its breaker, its pace, what it sent, and what an operator may do about it.

import { call, newKey } from "./api.js";
import { byId, element, follow, setText } from "./elements.js";
import { ask } from "./question.js";
import { ago, count, plural, secondsUntil, span, whole } from "./wording.js";

/** @import { FiguresAccount } from "../answers.js" */
/** @import { Question } from "./question.js" */

/** The words on the badge, and its tone. @type {Record<string, [string, string]>} */
const STATES = {
  closed: ["Healthy", "good"],
  half_open: ["On trial", "warn"],
  open: ["Out of rotation", "bad"],
  suspended: ["Suspended", "warn"],
  slowed: ["Slowed", "warn"],
  trial: ["On trial", "warn"],
};

/** What an account says of itself, where somebody has to mend it. @type {Partial<Record<string, string>>} */
const SAYS = {
  logged_out: "Logged out: pair it again",
  offline: "Paired, but not connected",
  misconfigured: "Refuses our login or device id, or the base URL is wrong",
  no_device: "No such device at the sender",
};

/** @type {Record<string, { text: string, may: (account: FiguresAccount) => boolean }>} */
const ACTIONS = {
  suspend: { text: "Suspend", may: (account) => !account.suspended },
  resume: { text: "Resume", may: (account) => account.suspended },
  "reset-breaker": {
    text: "Reset breaker",
    may: (account) => !account.suspended && account.circuit_breaker.state !== "closed",
  },
  "release-hold": { text: "Release hold", may: (account) => secondsUntil(account.held_until) > 0 },
};

/** What is asked before an action, by the account's label. @type {Record<string, (label: string) => Question>} */
const REASONS = {
  suspend: (label) => ({
    title: `Suspend ${label}?`,
    text: "No message begins through it until it is resumed. Its recipients go to the other accounts.",
    yes: "Suspend it",
    no: "Go on",
    reason: "Why?",
  }),
  "release-hold": (label) => ({
    title: `Let ${label} write to new contacts?`,
    text: "WhatsApp refused it some. If it does so again, that counts against the account.",
    yes: "Release the hold",
    no: "Leave it",
    reason: "Why?",
  }),
};

/** @param {string} name @param {Row} row @param {FiguresAccount} account */
async function act(name, { buttons }, { id, label }) {
  let body = null;
  if (name in REASONS) {
    const reason = await ask(REASONS[name](label));
    if (reason === null) return;
    body = JSON.stringify({ reason });
  }
  for (const button of buttons.values()) button.disabled = true;
  const headers = { "Content-Type": "application/json", "Idempotency-Key": newKey() };
  try {
    const answer = await call("POST", `/api/endpoints/${id}/${name}`, { headers, body });
    setText(byId("accounts-told"), answer.body.message);
  } catch {
    setText(byId("accounts-told"), "There was no answer; please look before you try again.");
  }
  for (const button of buttons.values()) button.disabled = false;
}

/** @typedef {ReturnType<typeof make>} Row */

/** @param {FiguresAccount} account */
function make(account) {
  const name = element("h2");
  const badge = element("span", "badge");
  const pace = element("p", "pace");
  const figures = { sent: element("dd"), failed: element("dd"), success: element("dd"), answer: element("dd") };
  const trouble = element("p", "trouble");
  const buttons = new Map(Object.entries(ACTIONS).map(([key, action]) => [key, buttonOf(key, `${action.text}: ${account.label}`)]));
  const root = element(
    "article",
    "card account",
    element("div", "account-head", name, badge),
    pace,
    element(
      "dl",
      "numbers",
      element("div", "", element("dt", "", "Sent"), figures.sent),
      element("div", "", element("dt", "", "Not sent"), figures.failed),
      element("div", "", element("dt", "", "Success"), figures.success),
      element("div", "", element("dt", "", "Answer"), figures.answer),
    ),
    trouble,
    element("div", "account-actions", ...buttons.values()),
  );
  const row = { root, name, badge, pace, figures, trouble, buttons };
  for (const [key, button] of buttons) button.addEventListener("click", () => act(key, row, account));
  return row;
}

/** @param {string} name @param {string} label */
function buttonOf(name, label) {
  const button = element("button", "quiet small", ACTIONS[name].text);
  button.type = "button";
  button.dataset.action = name;
  button.setAttribute("aria-label", label);
  return button;
}

/** What its badge says: a breaker that is not closed goes before a pace that is only slower. @param {FiguresAccount} account */
function stateOf(account) {
  if (account.suspended) return "suspended";
  const breaker = account.circuit_breaker.state;
  return breaker === "closed" && account.feedback.state in STATES ? account.feedback.state : breaker;
}

/** @param {FiguresAccount} account */
function suspension(account) {
  const reason = account.suspend_reason || "Suspended by an operator";
  if (account.suspended_by !== "feedback") return reason;
  const wait = secondsUntil(account.feedback.until);
  return `${reason} · ${wait > 0 ? `trial in ${span(wait)}` : "its trial is about to begin"}`;
}

/** @param {FiguresAccount} account */
function pace(account) {
  if (account.suspended) return suspension(account);
  const breaker = account.circuit_breaker;
  if (breaker.state === "open") {
    const wait = secondsUntil(breaker.next_trial);
    return wait > 0 ? `Next trial in ${span(wait)}` : "Waits until its status says that it is back";
  }
  if (account.in_flight) return account.in_flight === 1 ? "Sending a message" : `Sending ${account.in_flight} messages`;
  if (account.next_ready_in_ms === null) return "Not in the rota yet";
  return account.next_ready_in_ms > 0 ? `Pauses, ready in ${span(account.next_ready_in_ms / 1000)}` : "Ready to send";
}

/** @param {FiguresAccount} account */
function trouble(account) {
  const { circuit_breaker: breaker, feedback } = account;
  if (account.silent_drop) return `${whole(account.undelivered)} of ${whole(account.undelivered_of)} messages were never acknowledged`;
  if (breaker.state !== "closed" && breaker.reason) return dated(breaker.reason, breaker.since);
  if (feedback.state === "slowed" || feedback.state === "trial") return dated(feedback.reason ?? STATES[feedback.state][0], feedback.since);
  const held = secondsUntil(account.held_until);
  if (held > 0) return `Gets no new contacts for ${span(held)}; WhatsApp refused it some`;
  if (account.last_error) return `Last error${account.last_error_time ? ` ${ago(account.last_error_time)}` : ""}: ${account.last_error}`;
  return account.last_used ? `Last used ${ago(account.last_used)}` : "Not used yet";
}

/** @param {string} text @param {string | null} since */
const dated = (text, since) => (since ? `${text} · ${ago(since)}` : text);

/** @param {Row} row @param {FiguresAccount} account */
function update(row, account) {
  const [name, tone] = STATES[stateOf(account)] ?? ["?", "warn"];
  setText(row.name, account.label);
  row.name.title = `${account.url} (${account.id})`;
  setText(row.badge, name);
  row.badge.dataset.tone = tone;
  row.root.dataset.tone = tone;
  setText(row.pace, pace(account));
  const { success_rate: rate, avg_response_time: answer } = account;
  setText(row.figures.sent, count(account.messages_sent));
  setText(row.figures.failed, count(account.messages_failed));
  setText(row.figures.success, rate === null ? "–" : `${rate} %`);
  setText(row.figures.answer, answer === null ? "–" : answer < 1000 ? `${Math.round(answer)} ms` : `${(answer / 1000).toFixed(1)} s`);
  setText(row.trouble, SAYS[account.account ?? ""] ?? trouble(account));
  for (const [action, button] of row.buttons) button.hidden = !ACTIONS[action].may(account);
}

/** @param {FiguresAccount[]} accounts */
export function showAccounts(accounts) {
  follow(byId("account-cards"), accounts, (account) => account.id, make, update);
  const healthy = accounts.filter((account) => stateOf(account) === "closed").length;
  setText(byId("accounts-hint"), `${healthy} of ${plural(accounts.length, "account")} healthy`);
}

/** Offers the accounts in the playground's selects. @param {FiguresAccount[]} accounts */
export function offerAccounts(accounts) {
  /** @type {NodeListOf<HTMLSelectElement>} */
  const selects = document.querySelectorAll('select[name="endpoint"]');
  for (const select of selects) {
    if (select.options.length - 1 === accounts.length) continue;
    const chosen = select.value;
    while (select.options.length > 1) select.remove(1);
    for (const account of accounts) select.add(new Option(account.label, account.id));
    select.value = chosen;
  }
}
