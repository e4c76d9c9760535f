// The campaigns, newest first, with their progress and what may be done to them.
//
// The list comes from the API; between two looks at it the figures of open campaigns follow the statistics stream.

import { call, newKey } from "./api.js";
import { byId, element, follow, setText } from "./elements.js";
import { ask } from "./question.js";
import { ago, plural, whole } from "./wording.js";

/** @import { Answer, CampaignItem, CampaignList, CampaignRetried, FiguresCampaign } from "../answers.js" */
/** @import { Question } from "./question.js" */

const LOOK_EVERY = 5000;
const PAGE = 20;
const ENDED = /** @type {const} */ (["sent", "failed", "unknown", "canceled", "expired", "suppressed"]);
const TONES = { running: "good", scheduled: "info", paused: "warn", canceled: "quiet", finished: "quiet" };
const TYPES = { message: "Text", image: "Image", file: "File" };

/**
 * @typedef {object} Action
 * @property {string} text
 * @property {(campaign: CampaignItem) => boolean} may
 * @property {(campaign: CampaignItem) => Question} [ask]
 */
/** @type {Record<string, Action>} */
const ACTIONS = {
  pause: { text: "Pause", may: (campaign) => ["running", "scheduled"].includes(campaign.status) },
  resume: { text: "Resume", may: (campaign) => campaign.status === "paused" },
  retry: { text: "Retry failed", may: (campaign) => campaign.counts.failed > 0 && campaign.status !== "canceled" },
  cancel: {
    text: "Cancel",
    may: (campaign) => ["running", "scheduled", "paused"].includes(campaign.status),
    ask: (campaign) => ({
      title: "Cancel this campaign?",
      text: `${plural(waiting(campaign), "message")} will not be sent. This cannot be undone.`,
      yes: "Cancel the campaign",
    }),
  },
};

/** @param {CampaignItem} campaign */
const ended = (campaign) => ENDED.reduce((sum, name) => sum + (campaign.counts[name] ?? 0), 0);
/** @param {CampaignItem} campaign */
const waiting = (campaign) => Math.max(0, campaign.total - ended(campaign));

export class Campaigns {
  constructor() {
    /** By token, newest first. @type {Map<string, CampaignItem>} */
    this.known = new Map();
    this.pages = 1;
    /** Tokens of those that something is being done to. @type {Set<string>} */
    this.busy = new Set();
    this.loaded = false;
    this.loading = false;
    byId("campaigns-more").addEventListener("click", () => {
      this.pages += 1;
      this.load();
    });
    setInterval(() => document.hidden || this.load(), LOOK_EVERY);
    this.load();
  }

  async load() {
    /** @type {typeof this.known} */
    const found = new Map();
    /** @type {string | null} */
    let cursor = null;
    try {
      for (let page = 0; page < this.pages; page += 1) {
        const query = new URLSearchParams({ limit: String(PAGE), ...(cursor ? { cursor } : {}) });
        /** @type {Answer<CampaignList>} */
        const answer = await call("GET", `/api/campaigns?${query}`);
        if (!answer.ok) return;
        const { campaigns, next_cursor: next } = answer.body.results;
        for (const campaign of campaigns) found.set(campaign.campaign_token, campaign);
        cursor = next;
        if (!cursor) break;
      }
    } catch {
      return; // The stream's notice says that there is no connection.
    }
    this.known = found;
    this.loaded = true;
    byId("campaigns-more").hidden = !cursor;
    this.show();
  }

  /** @param {FiguresCampaign[]} open as the statistics stream has them */
  update(open) {
    if (!this.loaded) return;
    let strangers = false;
    for (const line of open) {
      const campaign = this.known.get(line.campaign_token);
      if (!campaign) {
        strangers = true;
        continue;
      }
      Object.assign(campaign.counts, line.counts);
      campaign.receipts = line.receipts;
      campaign.status = line.status;
    }
    this.show();
    if (strangers && !this.loading) {
      this.loading = true;
      this.load().finally(() => (this.loading = false));
    }
  }

  show() {
    const list = [...this.known.values()];
    byId("campaigns-empty").hidden = list.length > 0;
    follow(
      byId("campaign-rows"),
      list,
      (campaign) => campaign.campaign_token,
      (campaign) => this.make(campaign),
      (row, campaign) => this.fill(row, campaign),
    );
  }

  /** @param {CampaignItem} campaign */
  make({ campaign_token: token }) {
    const name = element("h2");
    const badge = element("span", "badge");
    const about = element("span", "hint");
    const buttons = new Map(Object.keys(ACTIONS).map((action) => [action, this.buttonOf(action, token)]));
    const shares = new Map(ENDED.map((outcome) => [outcome, element("div", outcome)]));
    const bar = element("div", "progress", ...shares.values());
    bar.setAttribute("role", "progressbar");
    bar.setAttribute("aria-valuemin", "0");
    bar.setAttribute("aria-valuemax", "100");
    const counts = element("p", "counts");
    const percent = element("p", "percent");
    const title = element("div", "campaign-title", name, badge, about);
    const actions = element("div", "actions", ...buttons.values());
    const root = element("article", "card campaign", title, actions, bar, counts, percent);
    return { root, name, badge, about, buttons, bar, shares, counts, percent };
  }

  /** @param {string} action @param {string} token */
  buttonOf(action, token) {
    const button = element("button", "quiet small", ACTIONS[action].text);
    button.type = "button";
    button.dataset.action = action;
    button.addEventListener("click", () => this.act(action, token));
    return button;
  }

  /** @param {ReturnType<Campaigns["make"]>} row @param {CampaignItem} campaign */
  fill(row, campaign) {
    const name = campaign.reference || `Campaign ${campaign.campaign_token.slice(0, 8)}`;
    setText(row.name, name);
    row.name.title = campaign.campaign_token;
    setText(row.badge, campaign.status);
    row.badge.dataset.tone = TONES[campaign.status] ?? "quiet";
    setText(row.about, `${TYPES[campaign.type] ?? campaign.type} to ${plural(campaign.total, "recipient")} · ${ago(campaign.created_at)}`);
    for (const [key, button] of row.buttons) {
      const action = ACTIONS[key];
      button.hidden = !action.may(campaign);
      button.disabled = this.busy.has(campaign.campaign_token);
      button.setAttribute("aria-label", `${action.text}: ${name}`);
    }
    const share = campaign.total ? (100 * ended(campaign)) / campaign.total : 100;
    for (const [outcome, part] of row.shares) {
      part.style.width = `${campaign.total ? (100 * (campaign.counts[outcome] ?? 0)) / campaign.total : 0}%`;
    }
    row.bar.setAttribute("aria-valuenow", share.toFixed(1));
    row.bar.setAttribute("aria-label", `Progress of ${name}`);
    setText(row.percent, share === 100 || share === 0 ? `${share} %` : `${Math.min(99.9, share).toFixed(1)} %`);
    const parts = ENDED.filter((outcome) => campaign.counts[outcome]).map((outcome) => `${whole(campaign.counts[outcome])} ${outcome}`);
    if (waiting(campaign)) parts.push(`${whole(waiting(campaign))} to go`);
    if (campaign.receipts?.delivered) parts.push(`${whole(campaign.receipts.delivered)} delivered`);
    if (campaign.receipts?.read) parts.push(`${whole(campaign.receipts.read)} read`);
    if (campaign.possible_duplicates) parts.push(`${whole(campaign.possible_duplicates)} maybe twice`);
    setText(row.counts, parts.join(" · "));
  }

  /** @param {string} name @param {string} token */
  async act(name, token) {
    const campaign = this.known.get(token);
    if (!campaign) return;
    const question = ACTIONS[name].ask?.(campaign);
    if (question && (await ask(question)) === null) return;
    this.busy.add(token);
    this.show();
    const hint = byId("campaigns-hint");
    try {
      /** @type {Answer<Partial<CampaignRetried>>} */
      const answer = await call("POST", `/api/campaigns/${token}/${name}`, { headers: { "Idempotency-Key": newKey() } });
      if (!answer.ok) setText(hint, `${ACTIONS[name].text}: ${answer.body.message}`);
      else if (answer.body.results.retried === undefined) setText(hint, "");
      else setText(hint, `${plural(answer.body.results.retried, "message")} will be tried again`);
    } catch {
      setText(hint, `${ACTIONS[name].text}: there was no answer; please look before you try again`);
    }
    await this.load();
    this.busy.delete(token);
    this.show();
  }
}
