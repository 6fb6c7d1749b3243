// The panel at the side that shows one order or one record, whichever the address asks for. Escape closes it.

import { $, h } from './dom.js';
import * as journey from './journey.js';
import * as record from './record.js';
import { asked } from './routes.js';
import { live } from './stream.js';

let view = null;
let from = null;
let current = '';

/** Starts listening to the address. */
export function start() {
  addEventListener('hashchange', follow);
  $('#drawer-close').addEventListener('click', close);
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && view && !$('#token').open) close();
  });
  follow();
}

/** Brings what is shown up to date with a snapshot. */
export function render(snapshot) {
  view?.render(snapshot);
}

function follow() {
  const wanted = asked();
  const key = wanted ? location.hash : '';
  if (key === current) return;
  // A link to a part of the page leaves the panel as it is.
  if (!wanted && location.hash.length > 1 && view) return;
  current = key;
  view?.stop();
  view = null;
  if (wanted) open(wanted);
  else shut();
}

function open(wanted) {
  const drawer = $('#drawer');
  if (drawer.hidden) from = document.activeElement;
  drawer.hidden = false;
  document.body.classList.add('with-drawer');
  const body = h('div', { class: 'drawer-body' });
  $('#drawer-content').replaceChildren(body);
  view = wanted.order ? journey.open(wanted.order, body) : record.open(wanted, body);
  $('#drawer-title').textContent = view.title;
  $('#drawer-kind').textContent = view.kind;
  drawer.scrollTop = 0;
  if (live.snapshot) view.render(live.snapshot);
  $('#drawer-title').focus({ preventScroll: true });
}

function close() {
  history.pushState(null, '', location.pathname + location.search);
  follow();
}

function shut() {
  $('#drawer').hidden = true;
  document.body.classList.remove('with-drawer');
  $('#drawer-content').replaceChildren();
  if (from?.isConnected) from.focus({ preventScroll: true });
  from = null;
}
