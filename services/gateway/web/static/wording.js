// Numbers and times as people read them.

const numbers = new Intl.NumberFormat("en");
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** A count; long ones short, such as 12.3K. None: a dash. @param {number | null} [value] */
export function count(value) {
  if (value === null || value === undefined) return "–";
  return value < 100000 ? numbers.format(value) : compact.format(value);
}

/** A count in full, for tables. @param {number} value */
export const whole = (value) => numbers.format(value);

/** Seconds as 8 s, 5 min, 3 h or 2 d. @param {number} seconds */
export function span(seconds) {
  if (seconds < 1) return "under 1 s";
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

/** How long ago a moment (ISO) was, compared with another. @param {string} moment */
export function ago(moment, now = Date.now()) {
  const seconds = Math.max(0, (now - Date.parse(moment)) / 1000);
  return seconds < 2 ? "just now" : `${span(seconds)} ago`;
}

/** Seconds until a moment (ISO); 0 when it is over or there is none. @param {string | null} moment */
export function secondsUntil(moment) {
  return moment ? Math.max(0, (Date.parse(moment) - Date.now()) / 1000) : 0;
}

/** @param {string | number} moment */
export const clock = (moment) => new Date(moment).toLocaleTimeString([], { hour12: false });

/** @param {number} moment */
export const minuteOfDay = (moment) =>
  new Date(moment).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });

/** Bytes as MB or GB. @param {number} bytes */
export function size(bytes) {
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}

/** @param {number} number @param {string} one */
export const plural = (number, one, many = `${one}s`) => `${whole(number)} ${number === 1 ? one : many}`;
