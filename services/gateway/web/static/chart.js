// Stacked bars of the last 60 minutes, drawn as SVG that fills its box.

import { element } from "./elements.js";
import { minuteOfDay, plural } from "./wording.js";

/** @import { FiguresThroughput } from "../answers.js" */

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { top: 12, right: 4, bottom: 24, left: 36 };
const SERIES = /** @type {const} */ (["sent", "failed", "unknown"]);
const NAMES = { sent: "sent", failed: "not sent", unknown: "unknown" };

/**
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string | number>} attributes
 */
function shape(tag, attributes, className = "") {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  if (className) made.setAttribute("class", className);
  return made;
}

/** The smallest of 1, 2 and 5 times a power of ten that takes `most` with at most four steps. @param {number} most */
function stepFor(most) {
  const power = 10 ** Math.floor(Math.log10(Math.max(most, 4) / 4));
  return [power, 2 * power, 5 * power].find((step) => step * 4 >= most) ?? 10 * power;
}

export class MinuteChart {
  /** @param {HTMLElement} box */
  constructor(box) {
    this.box = box;
    /** @type {FiguresThroughput | null} */
    this.series = null;
    /** The minute that is pointed at. @type {number | null} */
    this.shown = null;
    this.slot = 0;
    this.svg = shape("svg", { role: "img" });
    this.tip = element("div", "tip");
    this.tip.hidden = true;
    box.append(this.svg, this.tip);
    new ResizeObserver(() => this.draw()).observe(box);
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => this.point(null));
  }

  /** @param {FiguresThroughput} series */
  show(series) {
    this.series = series;
    this.draw();
  }

  draw() {
    const width = this.box.clientWidth;
    const height = this.box.clientHeight;
    const { series } = this;
    if (!series?.until || width < 80) return;
    const { minutes, until } = series;
    const totals = series.sent.map((_, index) => SERIES.reduce((sum, name) => sum + series[name][index], 0));
    const step = stepFor(Math.max(...totals));
    const top = step * Math.max(2, Math.ceil(Math.max(...totals) / step));
    const inner = { width: width - MARGIN.left - MARGIN.right, height: height - MARGIN.top - MARGIN.bottom };
    /** @param {number} value */
    const y = (value) => MARGIN.top + inner.height * (1 - value / top);
    const slot = inner.width / minutes;
    /** @param {number} index */
    const x = (index) => MARGIN.left + slot * index;
    this.slot = slot;

    /** @type {SVGElement[]} */
    const parts = [];
    for (let value = 0; value <= top; value += step) {
      const line = y(value);
      parts.push(shape("line", { x1: MARGIN.left, x2: width - MARGIN.right, y1: line, y2: line }, value ? "grid-line" : "base-line"));
      const label = shape("text", { x: MARGIN.left - 8, y: line + 4, "text-anchor": "end" }, "tick");
      label.textContent = value >= 1000 ? `${value / 1000}k` : String(value);
      parts.push(label);
    }
    const last = Math.floor(Date.parse(until) / 60000) * 60000;
    /** @param {number} index */
    const moment = (index) => last - (minutes - 1 - index) * 60000;
    const every = width < 460 ? 20 : 10;
    for (let index = 0; index < minutes; index += 1) {
      if (new Date(moment(index)).getMinutes() % every) continue;
      const label = shape("text", { x: x(index) + slot / 2, y: height - 6, "text-anchor": "middle" }, "tick");
      label.textContent = minuteOfDay(moment(index));
      const half = 17;
      if (x(index) > MARGIN.left + half - slot && x(index) < width - half) parts.push(label);
    }
    if (this.shown !== null) {
      parts.push(shape("rect", { x: x(this.shown), y: MARGIN.top, width: slot, height: inner.height }, "pointed"));
    }
    const gap = slot > 5 ? 2 : 0.5;
    for (let index = 0; index < minutes; index += 1) {
      let below = 0;
      for (const name of SERIES) {
        const value = series[name][index];
        if (!value) continue;
        const bar = {
          x: x(index) + gap / 2,
          y: y(below + value),
          width: Math.max(1, slot - gap),
          height: Math.max(1, y(below) - y(below + value)),
          rx: Math.min(2, slot / 4),
        };
        parts.push(shape("rect", bar, `bar ${name}${index === minutes - 1 ? " open" : ""}`));
        below += value;
      }
    }
    if (!totals.some(Boolean)) {
      const text = shape("text", { x: width / 2, y: height / 2, "text-anchor": "middle" }, "nothing");
      text.textContent = "No attempts in the last 60 minutes";
      parts.push(text);
    }
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const sums = SERIES.map((name) => `${series[name].reduce((a, b) => a + b, 0)} ${NAMES[name]}`);
    this.svg.setAttribute("aria-label", `Attempts in the last ${minutes} minutes: ${sums.join(", ")}`);
    this.svg.replaceChildren(...parts);
    if (this.shown !== null) this.tell(series, this.shown, moment(this.shown));
  }

  /** @param {PointerEvent | null} event */
  point(event) {
    if (!this.series || !event) {
      this.shown = null;
      this.tip.hidden = true;
    } else {
      const index = Math.floor((event.offsetX - MARGIN.left) / this.slot);
      this.shown = index >= 0 && index < this.series.minutes ? index : null;
      this.tip.hidden = this.shown === null;
    }
    this.draw();
  }

  /** @param {FiguresThroughput} series @param {number} index @param {number} moment */
  tell(series, index, moment) {
    const lines = SERIES.filter((name) => name === "sent" || series[name][index]).map((name) =>
      element("span", name, `${series[name][index]} ${NAMES[name]}`),
    );
    this.tip.replaceChildren(element("strong", "", minuteOfDay(moment)), ...lines);
    const left = MARGIN.left + this.slot * (index + 0.5);
    const room = this.box.clientWidth - this.tip.offsetWidth - 4;
    this.tip.style.left = `${Math.max(0, Math.min(room, left - this.tip.offsetWidth / 2))}px`;
  }
}

/** @param {FiguresThroughput} series */
export const lastWholeMinute = (series) => `${plural(series.sent_per_minute, "message")} sent in the last whole minute`;
