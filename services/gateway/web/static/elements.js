// Builds and updates elements. Texts are always set as text, never parsed as HTML.

export const byId = (id) => document.getElementById(id);

/** An element with a class, a text or children. */
export function element(tag, className = "", ...content) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...content.filter((part) => part !== null && part !== undefined));
  return made;
}

/** Sets a text only where it differs, so that nothing that is selected or read aloud is disturbed each second. */
export function setText(target, text) {
  const value = String(text);
  if (target.textContent !== value) target.textContent = value;
}

/**
 * Makes the children of `parent` follow `items`, keeping an item's element as long as its key is there, so that focus
 * and hover survive. `make(item)` gives a new element, `update(element, item)` is called for all.
 */
export function follow(parent, items, key, make, update) {
  const present = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let before = null;
  for (const item of items) {
    const name = key(item);
    let child = present.get(name);
    if (!child) {
      child = make(item);
      child.dataset.key = name;
    }
    present.delete(name);
    const place = before ? before.nextSibling : parent.firstChild;
    if (place !== child) parent.insertBefore(child, place);
    update(child, item);
    before = child;
  }
  for (const gone of present.values()) gone.remove();
}
