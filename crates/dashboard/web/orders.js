// The newest orders. Thirty rows that are used again, so that a thousand orders a second only change what is written in them.

import { $, attended, attr, h, text, toggle } from './dom.js';
import { ago, keyClass, money, short } from './format.js';
import { orderHash } from './routes.js';

const ROWS = 30;
const STEPS = { PENDING: 1, PAID: 2, RESERVED: 3, SHIPPED: 4 };

const rows = [];
let shown = [];

/** Makes the rows. */
export function start() {
  const list = $('#order-list');
  for (let index = 0; index < ROWS; index++) {
    const link = h('a', {}, h('span', { class: 'swatch', 'aria-hidden': 'true' }), h('code', {}), h('span', { class: 'customer' }), h('span', { class: 'amount' }), h('span', { class: 'steps', 'aria-hidden': 'true' }, h('i'), h('i'), h('i'), h('i')), h('span', { class: 'status' }), h('span', { class: 'ago' }));
    const row = h('li', { hidden: true }, link);
    rows.push(row);
    list.append(row);
  }
}

/** Shows a snapshot. */
export function render(snapshot) {
  const { newest } = snapshot.orders;
  const list = $('#order-list');
  const hold = attended(list) && shown.length > 0;
  if (hold) {
    // The list holds still under the pointer, but what is known of its orders goes on.
    const known = new Map(newest.map((order) => [order.order_id, order]));
    shown = shown.map((order) => known.get(order.order_id) ?? order);
  } else {
    shown = newest.slice(0, ROWS);
  }
  for (let index = 0; index < ROWS; index++) change(rows[index], shown[index], snapshot.at);
  $('#orders-none').hidden = shown.length > 0;
  const held = hold && newest[0]?.order_id !== shown[0]?.order_id;
  text($('#orders-held'), held ? 'held while you look' : '');
}

function change(row, order, now) {
  row.hidden = !order;
  if (!order) {
    attr(row, 'data-order-id', null);
    return;
  }
  const link = row.firstChild;
  const [swatch, id, customer, amount, steps, status, age] = link.children;
  attr(row, 'data-order-id', order.order_id);
  attr(link, 'href', orderHash(order.order_id));
  attr(swatch, 'class', `swatch ${keyClass(order.order_id)}`);
  text(id, short(order.order_id));
  text(customer, order.customer_id);
  text(amount, money(order.total_amount));
  text(status, order.status);
  attr(status, 'data-status', order.status);
  attr(steps, 'data-at', STEPS[order.status] ?? 'off');
  const at = Date.parse(order.created_at);
  text(age, Number.isNaN(at) ? '' : ago(now - at));
  toggle(row, 'open', location.hash === orderHash(order.order_id));
}
