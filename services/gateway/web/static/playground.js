// The Message Playground: three forms that send by the public API, and show what they send.

import { call, newKey } from "./api.js";
import { byId, first, setText } from "./elements.js";
import { plural } from "./wording.js";

/** @import { AcceptedCampaign, AcceptedMessage, Answer, FieldError, MessageItem } from "../answers.js" */
/** @typedef {HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement} Control */
/** @typedef {string | number | boolean | string[]} Value */

const CONTROLS = "input, textarea, select";
const LISTS = ["mentions"];
/** @type {Partial<Record<string, number>>} */
const STEPS = { ArrowRight: 1, ArrowLeft: -1 };
const FOLLOW_EVERY = 1500; // ms between two looks at a message that was sent
const FOLLOW_FOR = 180000;
const OPEN = ["queued", "sending", "retrying"];

export function startPlayground() {
  /** @type {NodeListOf<HTMLFormElement>} */
  const forms = document.querySelectorAll("#playground form");
  startTabs(forms);
  for (const form of forms) {
    form.addEventListener("input", () => showCurl(form));
    form.addEventListener("change", () => showPreview(form));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      send(form);
    });
  }
  byId("copy-curl").addEventListener("click", copyCurl);
  showCurl(forms[0]);
}

/** @param {NodeListOf<HTMLFormElement>} forms */
function startTabs(forms) {
  /** @type {NodeListOf<HTMLButtonElement>} */
  const tabs = document.querySelectorAll('#playground [role="tab"]');
  /** @param {HTMLButtonElement} tab */
  const choose = (tab) => {
    for (const other of tabs) {
      other.setAttribute("aria-selected", String(other === tab));
      other.tabIndex = other === tab ? 0 : -1;
    }
    for (const form of forms) {
      form.hidden = form.id !== tab.getAttribute("aria-controls");
      if (!form.hidden) showCurl(form);
    }
  };
  tabs.forEach((tab, index) => {
    tab.addEventListener("click", () => choose(tab));
    tab.addEventListener("keydown", (event) => {
      const step = STEPS[event.key];
      if (!step) return;
      const next = tabs[(index + step + tabs.length) % tabs.length];
      choose(next);
      next.focus();
    });
  });
}

/** What the form says, fields as JSON has them. Empty ones are left out. @param {HTMLFormElement} form */
function read(form) {
  /** @type {Record<string, Value>} */
  const fields = {};
  /** @type {[name: string, file: File] | null} */
  let file = null;
  /** @type {NodeListOf<Control>} */
  const controls = form.querySelectorAll(CONTROLS);
  for (const control of controls) {
    if (control instanceof HTMLInputElement && control.type === "file") {
      if (control.files?.length) file = [control.name, control.files[0]];
    } else if (control instanceof HTMLInputElement && control.type === "checkbox") {
      if (control.checked) fields[control.name] = true;
    } else if (control.value.trim()) {
      fields[control.name] = valueIn(control);
    }
  }
  return { fields, file };
}

/** @param {Control} control @returns {Value} */
function valueIn(control) {
  const text = control.value;
  if (control.name === "phone") {
    const phones = text.split(/[\n,;]+/).map((phone) => phone.trim()).filter(Boolean);
    return phones.length === 1 ? phones[0] : phones;
  }
  if (LISTS.includes(control.name)) return text.split(/[\n,;]+/).map((part) => part.trim()).filter(Boolean);
  if (control.name === "duration") return Number(text);
  // The control knows no time zone; the API wants one.
  if (control.type === "datetime-local") return new Date(text).toISOString();
  return ["message", "caption"].includes(control.name) ? text : text.trim();
}

/** @param {Value} value */
const asFormValue = (value) => (Array.isArray(value) ? JSON.stringify(value) : String(value));

/** @param {string} text */
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** @param {HTMLFormElement} form @param {string} key */
function curlOf(form, key) {
  const { fields, file } = read(form);
  const lines = [
    `curl ${quoted(`${location.origin}/api/send/${form.dataset.kind}`)}`,
    `-u "$USER_AND_PASSWORD"`,
    `-H ${quoted(`Idempotency-Key: ${key}`)}`,
  ];
  if (file) {
    for (const [name, value] of Object.entries(fields)) lines.push(`--form-string ${quoted(`${name}=${asFormValue(value)}`)}`);
    lines.push(`-F ${quoted(`${file[0]}=@${file[1].name}`)}`);
  } else {
    lines.push(`-H 'Content-Type: application/json'`, `-d ${quoted(JSON.stringify(fields, null, 2))}`);
  }
  return lines.join(" \\\n  ");
}

/** @param {HTMLFormElement} form */
function showCurl(form, key = "<a new key for each message>") {
  setText(byId("curl"), curlOf(form, key));
}

async function copyCurl() {
  const button = byId("copy-curl");
  try {
    await navigator.clipboard.writeText(byId("curl").textContent ?? "");
    setText(button, "Copied");
  } catch {
    // Browsers offer the clipboard on https and localhost only.
    getSelection()?.selectAllChildren(byId("curl"));
    setText(button, "Selected");
  }
  setTimeout(() => setText(button, "Copy"), 2000);
}

/** @param {HTMLFormElement} form */
function showPreview(form) {
  /** @type {HTMLImageElement | null} */
  const picture = form.querySelector(".preview");
  /** @type {HTMLInputElement | null} */
  const upload = form.querySelector('input[name="image"]');
  const file = upload?.files?.[0];
  if (!picture) return;
  if (picture.src) URL.revokeObjectURL(picture.src);
  picture.hidden = !file;
  if (file) picture.src = URL.createObjectURL(file);
  else picture.removeAttribute("src");
}

/**
 * A request that had no answer, and its key: sent again, it must not become a second message.
 * @type {{ said: string, key: string } | null}
 */
let unanswered = null;

/** @param {HTMLFormElement} form */
async function send(form) {
  const { fields, file } = read(form);
  const said = JSON.stringify([form.dataset.kind, fields, file && [file[1].name, file[1].size, file[1].lastModified]]);
  const key = unanswered?.said === said ? unanswered.key : newKey();
  /** @type {Record<string, string>} */
  const headers = { "Idempotency-Key": key };
  /** @type {FormData | string} */
  let body;
  if (file) {
    body = new FormData();
    for (const [name, value] of Object.entries(fields)) body.append(name, asFormValue(value));
    body.append(file[0], file[1], file[1].name);
  } else {
    headers["Content-Type"] = "application/json";
    body = JSON.stringify(fields);
  }
  showErrors(form, []);
  showCurl(form, key);
  const button = first(form, 'button[type="submit"]', HTMLButtonElement);
  button.disabled = true;
  tell("Sending the request…");
  try {
    /** @type {Answer<AcceptedMessage | AcceptedCampaign>} */
    const answer = await call("POST", `/api/send/${form.dataset.kind}`, { headers, body });
    unanswered = null;
    showAnswer(form, answer);
  } catch {
    unanswered = { said, key };
    byId("answer-status").hidden = true;
    byId("answer").hidden = true;
    tell("There was no answer, so it may have been accepted. Send it again unchanged: the key keeps it from being doubled.", "bad");
  } finally {
    button.disabled = false;
  }
}

/** @param {string} text */
function tell(text, tone = "") {
  const line = byId("outcome");
  line.dataset.tone = tone;
  setText(line, text);
}

let following = 0;

/** @param {HTMLFormElement} form @param {Answer<AcceptedMessage | AcceptedCampaign>} answer */
function showAnswer(form, answer) {
  const { ok, status, body } = answer;
  const badge = byId("answer-status");
  badge.hidden = false;
  badge.dataset.tone = ok ? "good" : "bad";
  setText(badge, status);
  byId("answer").hidden = false;
  setText(byId("answer"), JSON.stringify(body, null, 2));
  following += 1;
  if (!ok) {
    const left = showErrors(form, body.results?.errors ?? []);
    tell(left.length ? left.map((error) => `${error.field}: ${error.reason}`).join("; ") : body.message, "bad");
  } else if ("campaign_token" in body.results) {
    tell(acceptedAs(body.results), "good");
  } else {
    followMessage(body.results.message_id, following);
  }
}

/** @param {AcceptedCampaign} campaign */
function acceptedAs({ accepted, rejected, duplicates }) {
  const parts = [`Accepted as a campaign to ${plural(accepted, "recipient")}; it is listed above`];
  if (duplicates) parts.push(`${plural(duplicates, "duplicate")} left out`);
  const shown = rejected.slice(0, 3).map((line) => `${line.phone} (${line.reason})`);
  if (rejected.length > shown.length) shown.push(`${rejected.length - shown.length} more`);
  if (shown.length) parts.push(`refused: ${shown.join(", ")}`);
  return `${parts.join("; ")}.`;
}

/**
 * Shows each error at its field, focuses the first, and answers those that belong to no field of the form.
 * @param {HTMLFormElement} form
 * @param {FieldError[]} errors
 */
function showErrors(form, errors) {
  for (const field of form.querySelectorAll(".field")) {
    const line = first(field, ".error");
    line.hidden = true;
    setText(line, "");
    for (const control of field.querySelectorAll(CONTROLS)) control.removeAttribute("aria-invalid");
  }
  /** @type {FieldError[]} */
  const left = [];
  /** @type {HTMLElement | null} */
  let foremost = null;
  for (const error of errors) {
    const name = error.field.split(/[.[]/)[0];
    const field = form.querySelector(`.field[data-field="${CSS.escape(name)}"]`);
    if (!field) {
      left.push(error);
      continue;
    }
    const line = first(field, ".error");
    line.hidden = false;
    setText(line, line.textContent ? `${line.textContent}; ${error.reason}` : error.reason);
    const control = first(field, CONTROLS);
    control.setAttribute("aria-invalid", "true");
    const folded = control.closest("details");
    if (folded) folded.open = true;
    foremost ??= control;
  }
  foremost?.focus();
  return left;
}

/** Follows a message until its end, or until the next one is sent. @param {string} id @param {number} turn */
async function followMessage(id, turn) {
  const end = Date.now() + FOLLOW_FOR;
  tell(`Message ${id} is queued.`, "good");
  while (turn === following && Date.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, FOLLOW_EVERY));
    if (turn !== following || document.hidden) continue;
    try {
      /** @type {Answer<MessageItem>} */
      const answer = await call("GET", `/api/messages/${id}`);
      if (!answer.ok || turn !== following) continue;
      const { status: now, reason } = answer.body.results;
      const tone = now === "sent" ? "good" : OPEN.includes(now) ? "" : "bad";
      tell(`Message ${id} is ${now}${reason ? `: ${reason}` : ""}.`, tone || "good");
      if (!OPEN.includes(now)) return;
    } catch {
      // The next look may have an answer.
    }
  }
}
