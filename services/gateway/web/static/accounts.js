// A card for each WhatsApp account: its breaker, its pace, what it sent, and what an operator may do about it.

import { call, newKey } from "./api.js";
import { byId, element, follow, setText } from "./elements.js";
import { ask } from "./question.js";
import { ago, count, plural, span, whole } from "./wording.js";

const STATES = {
  closed: ["Healthy", "good"],
  half_open: ["On trial", "warn"],
  open: ["Out of rotation", "bad"],
  suspended: ["Suspended", "warn"],
  slowed: ["Slowed", "warn"],
  trial: ["On trial", "warn"],
};

const SAYS = {
  logged_out: "Logged out: pair it again",
  offline: "Paired, but not connected",
  misconfigured: "Refuses our login or device id, or the base URL is wrong",
  no_device: "No such device at the sender",
};

const held = (account) => Boolean(account.held_until) && Date.parse(account.held_until) > Date.now();

const ACTIONS = {
  suspend: { text: "Suspend", may: (account) => !account.suspended },
  resume: { text: "Resume", may: (account) => account.suspended },
  "reset-breaker": {
    text: "Reset breaker",
    may: (account) => !account.suspended && account.circuit_breaker.state !== "closed",
  },
  "release-hold": { text: "Release hold", may: held },
};

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

async function act(name, card, label) {
  let body = null;
  if (name in REASONS) {
    const reason = await ask(REASONS[name](label));
    if (reason === null) return;
    body = JSON.stringify({ reason });
  }
  const { lastChild: actions } = card;
  for (const button of actions.children) button.disabled = true;
  const headers = { "Content-Type": "application/json", "Idempotency-Key": newKey() };
  try {
    const answer = await call("POST", `/api/endpoints/${card.dataset.key}/${name}`, { headers, body });
    setText(byId("accounts-told"), answer.body.message);
  } catch {
    setText(byId("accounts-told"), "There was no answer; please look before you try again.");
  }
  for (const button of actions.children) button.disabled = false;
}

function actionsOf(account) {
  const actions = element("div", "account-actions");
  for (const [name, action] of Object.entries(ACTIONS)) {
    const button = element("button", "quiet small", action.text);
    button.type = "button";
    button.dataset.action = name;
    button.setAttribute("aria-label", `${action.text}: ${account.label}`);
    button.addEventListener("click", () => act(name, button.closest(".account"), account.label));
    actions.append(button);
  }
  return actions;
}

function figure(name) {
  return element("div", "", element("dt", "", name), element("dd"));
}

function make(account) {
  const head = element("div", "account-head", element("h2"), element("span", "badge"));
  const numbers = element("dl", "numbers", figure("Sent"), figure("Not sent"), figure("Success"), figure("Answer"));
  return element("article", "card account", head, element("p", "pace"), numbers, element("p", "trouble"), actionsOf(account));
}

/** What its badge says: a breaker that is not closed goes before a pace that is only slower. */
function stateOf(account) {
  if (account.suspended) return "suspended";
  const breaker = account.circuit_breaker.state;
  return breaker === "closed" && account.feedback.state in STATES ? account.feedback.state : breaker;
}

function suspension(account) {
  const reason = account.suspend_reason || "Suspended by an operator";
  if (account.suspended_by !== "feedback") return reason;
  const wait = (Date.parse(account.feedback.until) - Date.now()) / 1000;
  return `${reason} · ${wait > 0 ? `trial in ${span(wait)}` : "its trial is about to begin"}`;
}

function pace(account) {
  if (account.suspended) return suspension(account);
  const breaker = account.circuit_breaker;
  if (breaker.state === "open") {
    if (!breaker.next_trial) return "Waits until its status says that it is back";
    const wait = (Date.parse(breaker.next_trial) - Date.now()) / 1000;
    return wait > 0 ? `Next trial in ${span(wait)}` : "Waits until its status says that it is back";
  }
  if (account.in_flight) return account.in_flight === 1 ? "Sending a message" : `Sending ${account.in_flight} messages`;
  if (account.next_ready_in_ms === null) return "Not in the rota yet";
  return account.next_ready_in_ms > 0 ? `Pauses, ready in ${span(account.next_ready_in_ms / 1000)}` : "Ready to send";
}

function trouble(account) {
  const { circuit_breaker: breaker, feedback } = account;
  if (account.silent_drop) return `${whole(account.undelivered)} of ${whole(account.undelivered_of)} messages were never acknowledged`;
  if (breaker.state !== "closed" && breaker.reason) return `${breaker.reason} · ${ago(breaker.since)}`;
  if (feedback.state === "slowed" || feedback.state === "trial") return `${feedback.reason} · ${ago(feedback.since)}`;
  if (held(account)) return `Gets no new contacts for ${span((Date.parse(account.held_until) - Date.now()) / 1000)}; WhatsApp refused it some`;
  if (!account.last_error) return account.last_used ? `Last used ${ago(account.last_used)}` : "Not used yet";
  return `Last error ${ago(account.last_error_time)}: ${account.last_error}`;
}

function update(card, account) {
  const [name, tone] = STATES[stateOf(account)] ?? ["?", "warn"];
  const [head, paceLine, numbers, troubleLine, actions] = card.children;
  setText(head.firstChild, account.label);
  head.firstChild.title = `${account.url} (${account.id})`;
  setText(head.lastChild, name);
  head.lastChild.dataset.tone = tone;
  card.dataset.tone = tone;
  setText(paceLine, pace(account));
  const { success_rate: rate, avg_response_time: answer } = account;
  const values = [
    count(account.messages_sent),
    count(account.messages_failed),
    rate === null ? "–" : `${rate} %`,
    answer === null ? "–" : answer < 1000 ? `${Math.round(answer)} ms` : `${(answer / 1000).toFixed(1)} s`,
  ];
  values.forEach((value, index) => setText(numbers.children[index].lastChild, value));
  setText(troubleLine, SAYS[account.account] ?? trouble(account));
  for (const button of actions.children) button.hidden = !ACTIONS[button.dataset.action].may(account);
}

export function showAccounts(accounts) {
  follow(byId("account-cards"), accounts, (account) => account.id, make, update);
  const healthy = accounts.filter((account) => stateOf(account) === "closed").length;
  setText(byId("accounts-hint"), `${healthy} of ${plural(accounts.length, "account")} healthy`);
}

/** Offers the accounts in the playground's selects. */
export function offerAccounts(accounts) {
  for (const select of document.querySelectorAll('select[name="endpoint"]')) {
    if (select.options.length - 1 === accounts.length) continue;
    const chosen = select.value;
    while (select.options.length > 1) select.remove(1);
    for (const account of accounts) select.add(new Option(account.label, account.id));
    select.value = chosen;
  }
}
