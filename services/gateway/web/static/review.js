// Messages whose outcome nobody knows, for somebody to decide: each may have arrived or not.

import { call, newKey } from "./api.js";
import { byId, element, follow, setText } from "./elements.js";
import { ask } from "./question.js";
import { ago } from "./wording.js";

/** @import { Answer, MessageItem, MessageList, ResolvedMessage } from "../answers.js" */
/** @import { Question } from "./question.js" */

const LOOK_EVERY = 10000;
const SHOWN = 20;

/** @type {Record<string, { text: string, ask?: Question }>} */
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
    /** Ids of those that are being decided. @type {Set<string>} */
    this.busy = new Set();
    /** @type {MessageItem[]} */
    this.messages = [];
    this.more = false;
    setInterval(() => document.hidden || this.load(), LOOK_EVERY);
    this.load();
  }

  async load() {
    try {
      const query = new URLSearchParams({ status: "unknown", limit: String(SHOWN) });
      /** @type {Answer<MessageList>} */
      const answer = await call("GET", `/api/messages?${query}`);
      if (!answer.ok) return;
      this.show(answer.body.results.messages, answer.body.results.next_cursor !== null);
    } catch {
      // The stream's notice says that there is no connection.
    }
  }

  /** @param {MessageItem[]} messages @param {boolean} more */
  show(messages, more) {
    this.messages = messages;
    this.more = more;
    byId("review").hidden = messages.length === 0;
    setText(byId("review-more"), more ? `The newest ${SHOWN}; whole campaigns are decided by the API.` : "");
    follow(
      byId("review-rows"),
      messages,
      (message) => message.message_id,
      (message) => this.make(message),
      (row, message) => this.fill(row, message),
    );
  }

  /** @param {MessageItem} message */
  make(message) {
    const phone = element("strong");
    const reason = element("span", "alert-text");
    const buttons = Object.entries(CHOICES).map(([name, choice]) => {
      const button = element("button", "quiet small", choice.text);
      button.type = "button";
      button.addEventListener("click", () => this.decide(message, name));
      return button;
    });
    return { root: element("li", "undecided", phone, reason, element("div", "actions", ...buttons)), phone, reason, buttons };
  }

  /** @param {ReturnType<Review["make"]>} row @param {MessageItem} message */
  fill({ phone, reason, buttons }, message) {
    const number = message.phone.split("@")[0];
    setText(phone, `+${number}`);
    setText(reason, `${message.reason ?? "no reason is known"} · accepted ${ago(message.created_at)}`);
    for (const button of buttons) {
      button.disabled = this.busy.has(message.message_id);
      button.setAttribute("aria-label", `${button.textContent}: +${number}`);
    }
  }

  /** @param {MessageItem} message @param {string} name */
  async decide(message, name) {
    const choice = CHOICES[name];
    if (choice.ask && (await ask(choice.ask)) === null) return;
    this.busy.add(message.message_id);
    this.show(this.messages, this.more);
    const hint = byId("review-hint");
    try {
      const headers = { "Content-Type": "application/json", "Idempotency-Key": newKey() };
      /** @type {Answer<ResolvedMessage>} */
      const answer = await call("POST", `/api/messages/${message.message_id}/resolve`, { headers, body: JSON.stringify({ as: name }) });
      setText(hint, answer.ok ? "" : answer.body.message);
    } catch {
      setText(hint, "There was no answer; please look before you try again.");
    }
    this.busy.delete(message.message_id);
    await this.load();
  }
}
