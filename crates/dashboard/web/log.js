// What came of each action: a short word that comes and goes, read out politely, and the list of the last ones.

import { commandLine } from './byhand.js';
import { $, h } from './dom.js';
import { clock } from './format.js';

const MOST = 40;
const SHOWN_MS = 7000;
const MOST_SHOWN = 3;
const APART_MS = 1500;

let pending = null;
let last = 0;

/**
 * Tells an outcome: `{ok, text, commands, more, about}`; `more` is an element that leads on from it. What is told `about` the same thing
 * as the last takes its place.
 */
export function note({ ok, text, commands = [], more = null, about = null }) {
  const list = $('#log');
  if (about && list.firstChild?.about === about && Date.now() - list.firstChild.at < SHOWN_MS) list.firstChild.remove();
  const entry = h(
    'li',
    { class: ok ? 'ok' : 'bad' },
    h('time', { text: clock(Date.now()) }),
    h('span', { class: 'mark', 'aria-hidden': 'true', text: ok ? '✓' : '✕' }),
    h('div', {}, h('p', { text }), ...commands.slice(0, 1).map(commandLine)),
  );
  Object.assign(entry, { about, at: Date.now() });
  list.prepend(entry);
  while (list.children.length > MOST) list.lastChild.remove();
  $('#log-empty').hidden = true;
  toast(ok, text, more, about);
}

function toast(ok, text, more, about) {
  const region = $('#toasts');
  if (about) [...region.children].find((other) => other.about === about)?.remove();
  const box = h('div', { class: `toast ${ok ? 'ok' : 'bad'}` }, h('span', { class: 'mark', 'aria-hidden': 'true', text: ok ? '✓' : '✕' }), h('p', { text }), more);
  box.about = about;
  region.append(box);
  while (region.children.length > MOST_SHOWN) region.firstChild.remove();
  // Who is about to use it keeps it.
  const end = () => (box.matches(':hover') || box.contains(document.activeElement) ? setTimeout(end, SHOWN_MS) : box.remove());
  setTimeout(end, SHOWN_MS);
}

/** Has something read out that happened by itself; not more often than every 1.5 s, and then only the latest. */
export function announce(text) {
  const waiting = pending !== null;
  pending = text;
  if (waiting) return;
  setTimeout(
    () => {
      $('#announcer').textContent = pending;
      pending = null;
      last = Date.now();
    },
    Math.max(0, last + APART_MS - Date.now()),
  );
}
