// Asks before something that cannot be taken back, or that needs a reason.

import { byId, setText } from "./elements.js";

/** @typedef {{ title: string, text: string, yes: string, no?: string, reason?: string }} Question */

/**
 * Answers null when it was declined, else the reason that was typed ("" where none was asked for).
 * `reason`: the label of a text that must be given.
 * @param {Question} question
 * @returns {Promise<string | null>}
 */
export function ask({ title, text, yes, no = "Keep it", reason = "" }) {
  const dialog = byId("confirm", HTMLDialogElement);
  const field = byId("confirm-reason", HTMLInputElement);
  setText(byId("confirm-title"), title);
  setText(byId("confirm-text"), text);
  setText(byId("confirm-yes"), yes);
  setText(byId("confirm-no"), no);
  setText(byId("confirm-reason-label"), reason);
  byId("confirm-reason-box").hidden = !reason;
  field.required = Boolean(reason);
  field.value = "";
  dialog.returnValue = "no";
  dialog.showModal();
  (reason ? field : byId("confirm-no")).focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes" ? field.value.trim() : null), { once: true });
  });
}
