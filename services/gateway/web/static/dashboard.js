// The dashboard: one stream of figures feeds every part; the playground stands for itself.

import { showAlerts } from "./alerts.js";
import { offerAccounts, showAccounts } from "./accounts.js";
import { address } from "./api.js";
import { Campaigns } from "./campaigns.js";
import { MinuteChart, lastWholeMinute } from "./chart.js";
import { startPace } from "./controls.js";
import { byId, setText } from "./elements.js";
import { LiveFigures } from "./live_figures.js";
import { showFooter, showHealth, showLanes, showTiles } from "./overview.js";
import { startPlayground } from "./playground.js";
import { Review } from "./review.js";
import { clock } from "./wording.js";

/** @import { Figures } from "../answers.js" */

const chart = new MinuteChart(byId("chart"));
const campaigns = new Campaigns();
new Review();
startPlayground();
startPace();

/** @param {Figures} figures */
function show(figures) {
  showHealth(figures);
  showAlerts(figures.alerts);
  showTiles(figures);
  showLanes(figures);
  showAccounts(figures.endpoints);
  offerAccounts(figures.endpoints);
  showFooter(figures);
  chart.show(figures.throughput);
  setText(byId("chart-note"), lastWholeMinute(figures.throughput));
  campaigns.update(figures.campaigns.open);
  setText(byId("updated"), `Figures of ${clock(figures.timestamp)}`);
}

/** @param {string} state @param {number | null} last */
function tellState(state, last) {
  byId("live").dataset.state = state;
  setText(byId("live-text"), state === "live" ? "Live" : "Reconnecting");
  byId("stale").hidden = state === "live";
  setText(byId("stale-since"), last ? `at ${clock(last)}` : "before the first figures came");
  document.body.classList.toggle("is-stale", state !== "live");
}

new LiveFigures(address("/api/statistics/stream"), show, tellState);
