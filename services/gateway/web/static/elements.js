// Builds and updates elements. Texts are always set as text, never parsed as HTML.

/**
 * The element of that id. Throws when the page has none of that kind.
 * @template {HTMLElement} [Kind=HTMLElement]
 * @param {string} id
 * @param {{ new (): Kind }} [kind]
 */
export function byId(id, kind) {
  return first(document, `#${id}`, kind);
}

/**
 * The first element below `parent` that `selector` finds. Throws when there is none of that kind.
 * @template {HTMLElement} [Kind=HTMLElement]
 * @param {ParentNode} parent
 * @param {string} selector
 * @param {{ new (): Kind }} [kind]
 */
export function first(parent, selector, kind) {
  const found = parent.querySelector(selector);
  if (!(found instanceof (kind ?? HTMLElement))) throw new Error(`there is no ${selector}`);
  return /** @type {Kind} */ (found);
}

/**
 * An element with a class, a text or children.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {(Node | string)[]} content
 */
export function element(tag, className = "", ...content) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...content);
  return made;
}

/**
 * Sets a text only where it differs, so that nothing that is selected or read aloud is disturbed each second.
 * @param {Node} target
 * @param {string | number} text
 */
export function setText(target, text) {
  const value = String(text);
  if (target.textContent !== value) target.textContent = value;
}

/** What `make` gave for an element of `follow`. @type {WeakMap<Node, unknown>} */
const rows = new WeakMap();

/**
 * Makes the children of `parent` follow `items`, keeping an item's element as long as its key is there, so that focus
 * and hover survive. `make(item)` gives a new element as `root`, with those of its parts that change beside it;
 * `update(row, item)` is called for all.
 * @template Item
 * @template {{ root: HTMLElement }} Row
 * @param {HTMLElement} parent
 * @param {Item[]} items
 * @param {(item: Item) => string} key
 * @param {(item: Item) => Row} make
 * @param {(row: Row, item: Item) => void} update
 */
export function follow(parent, items, key, make, update) {
  const children = /** @type {Iterable<HTMLElement>} */ (parent.children);
  const present = new Map([...children].map((child) => [child.dataset.key, /** @type {Row} */ (rows.get(child))]));
  /** @type {Node | null} */
  let before = null;
  for (const item of items) {
    const name = key(item);
    let row = present.get(name);
    if (!row) {
      row = make(item);
      row.root.dataset.key = name;
      rows.set(row.root, row);
    }
    present.delete(name);
    /** @type {Node | null} */
    const place = before ? before.nextSibling : parent.firstChild;
    if (place !== row.root) parent.insertBefore(row.root, place);
    update(row, item);
    before = row.root;
  }
  for (const gone of present.values()) gone.root.remove();
}
