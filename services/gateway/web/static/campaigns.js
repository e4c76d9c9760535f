// The campaigns, newest first, with their progress and what may be done to them.
//
// The list comes from the API; between two looks at it the figures of open campaigns follow the statistics stream.

import { call, newKey } from "./api.js";
import { byId, element, follow, setText } from "./elements.js";
import { ask } from "./question.js";
import { ago, plural, whole } from "./wording.js";

const LOOK_EVERY = 5000;
const PAGE = 20;
const ENDED = ["sent", "failed", "unknown", "canceled", "expired", "suppressed"];
const TONES = { running: "good", scheduled: "info", paused: "warn", canceled: "quiet", finished: "quiet" };
const TYPES = { message: "Text", image: "Image", file: "File" };

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

const ended = (campaign) => ENDED.reduce((sum, name) => sum + (campaign.counts[name] ?? 0), 0);
const waiting = (campaign) => Math.max(0, campaign.total - ended(campaign));

export class Campaigns {
  constructor() {
    this.known = new Map();
    this.pages = 1;
    this.busy = new Set();
    this.loaded = false;
    byId("campaigns-more").addEventListener("click", () => {
      this.pages += 1;
      this.load();
    });
    setInterval(() => document.hidden || this.load(), LOOK_EVERY);
    this.load();
  }

  async load() {
    const found = new Map();
    let cursor = null;
    try {
      for (let page = 0; page < this.pages; page += 1) {
        const query = new URLSearchParams({ limit: PAGE, ...(cursor ? { cursor } : {}) });
        const { status, body } = await call("GET", `/api/campaigns?${query}`);
        if (status !== 200) return;
        for (const campaign of body.results.campaigns) found.set(campaign.campaign_token, campaign);
        cursor = body.results.next_cursor;
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

  /** Open campaigns as the statistics stream has them. */
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
    follow(byId("campaign-rows"), list, (campaign) => campaign.campaign_token, (campaign) => this.make(campaign), (row, campaign) => this.fill(row, campaign));
  }

  make(campaign) {
    const title = element("div", "campaign-title", element("h2"), element("span", "badge"), element("span", "hint"));
    const bar = element("div", "progress", ...ENDED.map((name) => element("div", name)));
    bar.setAttribute("role", "progressbar");
    bar.setAttribute("aria-valuemin", "0");
    bar.setAttribute("aria-valuemax", "100");
    const actions = element("div", "actions");
    for (const [name, action] of Object.entries(ACTIONS)) {
      const button = element("button", "quiet small", action.text);
      button.type = "button";
      button.dataset.action = name;
      button.addEventListener("click", () => this.act(name, campaign.campaign_token));
      actions.append(button);
    }
    return element("article", "card campaign", title, actions, bar, element("p", "counts"), element("p", "percent"));
  }

  fill(row, campaign) {
    const [title, actions, bar, counts, percent] = row.children;
    const short = campaign.campaign_token.slice(0, 8);
    const name = campaign.reference || `Campaign ${short}`;
    setText(title.children[0], name);
    title.children[0].title = campaign.campaign_token;
    setText(title.children[1], campaign.status);
    title.children[1].dataset.tone = TONES[campaign.status] ?? "quiet";
    setText(title.children[2], `${TYPES[campaign.type] ?? campaign.type} to ${plural(campaign.total, "recipient")} · ${ago(campaign.created_at)}`);
    for (const button of actions.children) {
      const action = ACTIONS[button.dataset.action];
      button.hidden = !action.may(campaign);
      button.disabled = this.busy.has(campaign.campaign_token);
      button.setAttribute("aria-label", `${action.text}: ${name}`);
    }
    const share = campaign.total ? (100 * ended(campaign)) / campaign.total : 100;
    ENDED.forEach((outcome, index) => {
      bar.children[index].style.width = `${campaign.total ? (100 * (campaign.counts[outcome] ?? 0)) / campaign.total : 0}%`;
    });
    bar.setAttribute("aria-valuenow", share.toFixed(1));
    bar.setAttribute("aria-label", `Progress of ${name}`);
    setText(percent, share === 100 || share === 0 ? `${share} %` : `${Math.min(99.9, share).toFixed(1)} %`);
    const parts = ENDED.filter((outcome) => campaign.counts[outcome]).map((outcome) => `${whole(campaign.counts[outcome])} ${outcome}`);
    if (waiting(campaign)) parts.push(`${whole(waiting(campaign))} to go`);
    if (campaign.receipts?.delivered) parts.push(`${whole(campaign.receipts.delivered)} delivered`);
    if (campaign.receipts?.read) parts.push(`${whole(campaign.receipts.read)} read`);
    if (campaign.possible_duplicates) parts.push(`${whole(campaign.possible_duplicates)} maybe twice`);
    setText(counts, parts.join(" · "));
  }

  async act(name, token) {
    const campaign = this.known.get(token);
    const question = ACTIONS[name].ask?.(campaign);
    if (question && (await ask(question)) === null) return;
    this.busy.add(token);
    this.show();
    const hint = byId("campaigns-hint");
    try {
      const { status, body } = await call("POST", `/api/campaigns/${token}/${name}`, { headers: { "Idempotency-Key": newKey() } });
      setText(hint, status < 300 ? "" : `${ACTIONS[name].text}: ${body.message}`);
      if (status < 300 && body.results?.retried !== undefined) setText(hint, `${plural(body.results.retried, "message")} will be tried again`);
    } catch {
      setText(hint, `${ACTIONS[name].text}: there was no answer; please look before you try again`);
    }
    await this.load();
    this.busy.delete(token);
    this.show();
  }
}
