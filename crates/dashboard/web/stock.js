// The stock: what is left of each product, and deliveries.

import { actionButton, forbid, send } from './actions.js';
import { handsButton } from './byhand.js';
import * as commands from './commands.js';
import { $, attr, h, keyed, style, text, toggle } from './dom.js';
import { compact, money, num } from './format.js';

const DELIVERY = 100;

/** Shows a snapshot. */
export function render({ stock }) {
  keyed($('#stock-list'), stock.slice(0, 50), ({ product_id: product }) => product, make, change);
  $('#stock-none').hidden = stock.length > 0;
}

function make({ product_id: product }) {
  const figure = h('input', { type: 'number', min: '1', max: '1000000', value: String(DELIVERY), inputmode: 'numeric', 'aria-label': `Pieces of ${product} to deliver` });
  const quantity = () => Math.max(1, Math.floor(Number(figure.value) || DELIVERY));
  const path = `/api/inventory/${encodeURIComponent(product)}/restock`;
  const told = () => [...commands.restocking(product, quantity()), commands.curl(path, { quantity: quantity() })];
  const button = actionButton('Restock', { class: 'small', 'aria-label': `Restock ${product}`, 'data-action': 'restock' }, () => send(`Restock ${product}`, path, { quantity: quantity() }, { commands: told(), said: (answer) => answer?.done ?? `delivered ${num(quantity())} of ${product}` }), told);
  return h('li', { 'data-product': product, 'data-hands': '' }, h('b', { text: product }), h('span', { class: 'price' }), h('span', { class: 'level', 'aria-hidden': 'true' }, h('i')), h('span', { class: 'quantity' }), figure, button, handsButton(product));
}

function change(row, { quantity, price, initial, restocked }) {
  const [, cost, level, left, , button] = row.children;
  // Against what there was at first: what was delivered since only grows.
  const all = Math.max(1, initial);
  text(cost, money(price));
  text(left, compact(quantity));
  attr(left, 'title', `${num(quantity)} left of ${num(initial)} and ${num(restocked)} delivered`);
  style(level.firstChild, '--part', Math.min(1, quantity / all).toFixed(3));
  toggle(row, 'out', quantity === 0);
  toggle(row, 'low', quantity > 0 && quantity / all < 0.15);
  forbid(button, null);
}
