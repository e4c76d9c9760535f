// Messages whose outcome nobody knows, for somebody to decide: each may have arrived or not.

import { call, newKey } from "./api.js";
import { byId, element, follow, setText } from "./elements.js";
import { ask } from "./question.js";
import { ago } from "./wording.js";

const LOOK_EVERY = 10000;
const SHOWN = 20;

const CHOICES = {
  sent: { text: "It was sent" },
  failed: { text: "It was not" },
  resend: {
    text: "Send again",
    ask: {
      title: "Send this message again?",
      text: "If the first attempt did arrive, the recipient gets it twice.",
      yes: "Send it again",
      no: "Leave it",
    },
  },
};

export class Review {
  constructor() {
    this.busy = new Set();
    setInterval(() => document.hidden || this.load(), LOOK_EVERY);
    this.load();
  }

  async load() {
    try {
      const { status, body } = await call("GET", `/api/messages?${new URLSearchParams({ status: "unknown", limit: SHOWN })}`);
      if (status !== 200) return;
      this.show(body.results.messages, body.results.next_cursor !== null);
    } catch {
      // The stream's notice says that there is no connection.
    }
  }

  show(messages, more) {
    this.messages = messages;
    this.more = more;
    byId("review").hidden = messages.length === 0;
    setText(byId("review-more"), more ? `The newest ${SHOWN}; whole campaigns are decided by the API.` : "");
    follow(byId("review-rows"), messages, (message) => message.message_id, (message) => this.make(message), (row, message) => this.fill(row, message));
  }

  make(message) {
    const actions = element("div", "actions");
    for (const [name, choice] of Object.entries(CHOICES)) {
      const button = element("button", "quiet small", choice.text);
      button.type = "button";
      button.addEventListener("click", () => this.decide(message, name));
      actions.append(button);
    }
    return element("li", "undecided", element("strong"), element("span", "alert-text"), actions);
  }

  fill(row, message) {
    const [phone, reason, actions] = row.children;
    const number = message.phone.split("@")[0];
    setText(phone, `+${number}`);
    setText(reason, `${message.reason ?? "no reason is known"} · accepted ${ago(message.created_at)}`);
    for (const button of actions.children) {
      button.disabled = this.busy.has(message.message_id);
      button.setAttribute("aria-label", `${button.textContent}: +${number}`);
    }
  }

  async decide(message, name) {
    const choice = CHOICES[name];
    if (choice.ask && (await ask(choice.ask)) === null) return;
    this.busy.add(message.message_id);
    this.show(this.messages, this.more);
    const hint = byId("review-hint");
    try {
      const headers = { "Content-Type": "application/json", "Idempotency-Key": newKey() };
      const { status, body } = await call("POST", `/api/messages/${message.message_id}/resolve`, { headers, body: JSON.stringify({ as: name }) });
      setText(hint, status < 300 ? "" : body.message);
    } catch {
      setText(hint, "There was no answer; please look before you try again.");
    }
    this.busy.delete(message.message_id);
    await this.load();
  }
}
