// The panel at the side that shows one order or one record, whichever the address asks for. Escape closes it.

import { $, h } from './dom.js';
import * as journey from './journey.js';
import { announce } from './log.js';
import * as record from './record.js';
import { asked } from './routes.js';
import { live } from './stream.js';

// On a phone it covers the page, and what is covered is out of reach.
const covers = matchMedia('(max-width: 860px)');

let view = null;
let back = null;
let current = '';

/** Starts listening to the address. */
export function start() {
  addEventListener('hashchange', follow);
  $('#drawer-close').addEventListener('click', close);
  covers.addEventListener('change', cover);
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
  const step = drawer.hidden ? null : document.activeElement?.dataset.step;
  if (drawer.hidden) back = wayBack(document.activeElement ?? document.body);
  drawer.hidden = false;
  cover();
  document.body.classList.add('with-drawer');
  const body = h('div', { class: 'drawer-body' });
  $('#drawer-content').replaceChildren(body);
  view = wanted.order ? journey.open(wanted.order, body) : record.open(wanted, body);
  $('#drawer-title').textContent = view.title;
  $('#drawer-kind').textContent = view.kind;
  drawer.scrollTop = 0;
  if (live.snapshot) view.render(live.snapshot);
  // Who steps from record to record stays on the step.
  const again = step && ($(`[data-step="${step}"]:enabled`, body) ?? $('[data-step]:enabled', body));
  (again || $('#drawer-title')).focus({ preventScroll: true });
  if (again) announce(view.title);
}

function cover() {
  const covered = covers.matches && !$('#drawer').hidden;
  for (const node of document.querySelectorAll('.skip, .top, main')) node.inert = covered;
}

// How to find again where one came from. A cell or a row shows something else by then: it is the record or the order that is found again.
function wayBack(node) {
  const lane = node.closest('.lane');
  const { offset } = node.dataset;
  if (lane && offset) return () => $(`.cell[data-offset="${offset}"]`, lane) ?? $('.cell[tabindex="0"]', lane);
  const order = node.closest('[data-order-id]')?.dataset.orderId;
  if (order) return () => $(`[data-order-id="${CSS.escape(order)}"] a`) ?? $('#order-list li:not([hidden]) a');
  return () => node;
}

function close() {
  history.pushState(null, '', location.pathname + location.search);
  follow();
}

function shut() {
  $('#drawer').hidden = true;
  document.body.classList.remove('with-drawer');
  $('#drawer-content').replaceChildren();
  cover();
  back?.()?.focus({ preventScroll: true });
  back = null;
}
