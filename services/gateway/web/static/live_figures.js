// The statistics stream: hands each event on, and says when the figures grow old.
//
// EventSource reconnects by itself after a broken connection, but gives up on an answer that is not a stream, such as
// 503 while the monitor restarts. So it is opened anew then, with a growing pause.

const STALE_AFTER = 5000; // ms without an event; one is sent each second
const LONGEST_PAUSE = 15000;

/** @import { Figures } from "../answers.js" */
/** @typedef {"live" | "stale"} State */

export class LiveFigures {
  /**
   * `onFigures` for each event; `onState` at changes, with the moment of the last event, or null.
   * @param {URL} address
   * @param {(figures: Figures) => void} onFigures
   * @param {(state: State, last: number | null) => void} onState
   */
  constructor(address, onFigures, onState) {
    this.address = address;
    this.onFigures = onFigures;
    this.onState = onState;
    /** @type {number | null} */
    this.last = null;
    this.opened = Date.now();
    /** @type {State | "connecting"} */
    this.state = "connecting";
    this.pause = 1000;
    this.open();
    setInterval(() => this.look(), 500);
  }

  open() {
    const source = new EventSource(this.address);
    source.onmessage = (event) => {
      this.last = Date.now();
      this.pause = 1000;
      this.change("live");
      this.onFigures(JSON.parse(event.data));
    };
    source.onerror = () => {
      this.change("stale");
      if (source.readyState === EventSource.CLOSED) {
        setTimeout(() => this.open(), this.pause);
        this.pause = Math.min(LONGEST_PAUSE, this.pause * 2);
      }
    };
  }

  look() {
    if (Date.now() - (this.last ?? this.opened) > STALE_AFTER) this.change("stale");
  }

  /** @param {State} state */
  change(state) {
    if (state === this.state) return;
    this.state = state;
    this.onState(state, this.last);
  }
}
