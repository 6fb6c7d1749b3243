// Building and changing the page: elements, text that is written only where it changed, and lists whose nodes are used again.

const SVG = 'http://www.w3.org/2000/svg';

/** An HTML element; `props` are attributes, except `text`, `on` (listeners) and what is null or false. */
export function h(tag, props, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** The same for SVG. */
export function s(tag, props, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

function fill(node, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'text') node.textContent = value;
    else if (name === 'on') for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** The first element of a selector. */
export const $ = (selector, root = document) => root.querySelector(selector);

// What was written last is kept beside the node: to ask the DOM costs more than to remember.
const written = new WeakMap();

function remembers(node, name, value) {
  let known = written.get(node);
  if (!known) written.set(node, (known = new Map()));
  if (known.get(name) === value) return true;
  known.set(name, value);
  return false;
}

/** Writes text, if it is another one. */
export function text(node, value) {
  const string = String(value);
  if (!remembers(node, '#', string)) node.textContent = string;
}

/** Writes an attribute, if it is another one; null takes it away. */
export function attr(node, name, value) {
  const string = value === null || value === undefined || value === false ? null : value === true ? '' : String(value);
  if (remembers(node, name, string)) return;
  if (string === null) node.removeAttribute(name);
  else node.setAttribute(name, string);
}

/** Writes a style's property through the CSSOM, which a strict content security policy allows. */
export function style(node, name, value) {
  if (!remembers(node, `:${name}`, value)) node.style.setProperty(name, value);
}

/** Sets or takes away a class, if that changes anything. */
export function toggle(node, name, on) {
  if (!remembers(node, `.${name}`, Boolean(on))) node.classList.toggle(name, Boolean(on));
}

const lists = new WeakMap();

/**
 * Makes the children of `parent` one for each item, in that order. A child is made once a key, changed while its key is there, and
 * taken away after that; nothing else may be in `parent`. The child that has the focus stays where it is, since it would lose it.
 */
export function keyed(parent, items, keyOf, make, change) {
  let known = lists.get(parent);
  if (!known) lists.set(parent, (known = new Map()));
  const wanted = new Set(items.map(keyOf));
  for (const [key, node] of known) {
    if (wanted.has(key)) continue;
    node.remove();
    known.delete(key);
  }
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  const seen = new Set();
  let at = parent.firstChild;
  for (const [index, item] of items.entries()) {
    const key = keyOf(item, index);
    if (seen.has(key)) continue;
    seen.add(key);
    let node = known.get(key);
    if (!node) {
      node = make(item, index);
      known.set(key, node);
    }
    change?.(node, item, index);
    if (focused && node.contains(focused)) {
      // Those before it go behind it; each finds its place when its turn comes.
      while (at !== node) {
        const next = at.nextSibling;
        parent.insertBefore(at, node.nextSibling);
        at = next;
      }
    }
    if (node === at) at = at.nextSibling;
    else parent.insertBefore(node, at);
  }
}

/** Whether somebody asked for little motion. */
export const calm = () => matchMedia('(prefers-reduced-motion: reduce)').matches;

const PATIENCE_MS = 20_000;
let stirred = 0;
for (const event of ['pointermove', 'pointerdown', 'keydown']) addEventListener(event, () => (stirred = Date.now()), { passive: true, capture: true });

/** Whether somebody points at the element, or the keyboard is on it, so that what is shown there should hold still; for 20 s at most after the last stir. */
export function attended(node) {
  if (Date.now() - stirred > PATIENCE_MS) return false;
  const focused = document.activeElement;
  return (node.contains(focused) && focused.matches(':focus-visible')) || (node.matches(':hover') && matchMedia('(hover: hover)').matches);
}
