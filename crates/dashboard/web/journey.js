// One order followed: what it is, each state it came to and why, each of its events and where that lies, and who has read beyond it.

import { actionButton, forbid, send } from './actions.js';
import { get } from './api.js';
import { handsButton } from './byhand.js';
import * as commands from './commands.js';
import { h, keyed, text } from './dom.js';
import { brief, clock, groupClass, keyClass, moment, money, short, span } from './format.js';
import { commitChip, readersOf } from './groups.js';
import { recordHash } from './routes.js';

const AGAIN_MS = 1200;
// Each time a little later: an order that has nothing more to tell is not asked for ever as often.
const LATER = 1.1;
const LATEST_MS = 10_000;
const ENDS = { SHIPPED: 'It is on its way.', DECLINED: 'It has ended: declined.', REFUNDED: 'It has ended: refunded.', CANCELLED: 'It is cancelled already.', REJECTED: 'It is about to end: rejected.' };
const DEAD = '.dlq';
const WRITER = { order_placed: 'order-service', order_cancelled: 'order-service', payment_processed: 'payment-service', inventory_updated: 'inventory-service', shipment_processed: 'shipment-service' };

/** Follows an order in `body` until something else is shown. */
export function open(id, body) {
  const state = { id, journey: null, events: [], timer: 0, pause: AGAIN_MS, stopped: false, snapshot: null };
  const cancel = actionButton('Cancel the order', { 'data-testid': 'cancel-order' }, () => send(`Cancel …${short(id)}`, `/api/orders/${encodeURIComponent(id)}/cancel`, {}, { commands: commands.cancelling(id), said: (answer) => answer?.done ?? `asked for …${short(id)} back` }).then(() => load(state, parts)), () => [...commands.cancelling(id), commands.curl(`/api/orders/${id}/cancel`)]);
  const parts = {
    cancel,
    facts: h('dl', { class: 'facts' }),
    history: h('ol', { class: 'history' }),
    events: h('ol', { class: 'events', 'data-testid': 'journey-events' }),
    note: h('p', { class: 'quiet', 'aria-live': 'polite', text: 'Looking for it …' }),
  };
  body.append(parts.note, parts.facts, h('div', { class: 'row', 'data-hands': '' }, cancel, handsButton('this order')), h('h3', { text: 'States' }), parts.history, h('h3', { text: 'Its events, and who has read them' }), parts.events);
  forbid(cancel, 'Not known yet.');
  load(state, parts);
  return {
    kind: 'Order',
    title: `…${short(id)}`,
    stop() {
      state.stopped = true;
      clearTimeout(state.timer);
    },
    render(snapshot) {
      state.snapshot = snapshot;
      commits(state, parts);
    },
  };
}

// Asks again until the order has ended and all of its events are there; never twice at a time.
async function load(state, parts) {
  clearTimeout(state.timer);
  let again = true;
  try {
    const journey = await get(`/api/orders/${encodeURIComponent(state.id)}`);
    if (state.stopped) return;
    state.journey = journey;
    show(state, parts);
    again = !journey.complete || !(journey.order.status in ENDS) || journey.order.status === 'REJECTED';
  } catch (error) {
    if (state.stopped) return;
    text(parts.note, error.message);
    parts.note.hidden = false;
  }
  if (again && !state.stopped) {
    clearTimeout(state.timer);
    state.timer = setTimeout(() => load(state, parts), state.pause);
    state.pause = Math.min(LATEST_MS, state.pause * LATER);
  }
}

function show(state, parts) {
  const { order, complete } = state.journey;
  const events = (state.events = eventsOf(state.journey));
  text(parts.note, complete ? '' : 'More of its events may be on their way, or too far back to be found.');
  parts.note.hidden = complete;
  const rows = [
    ['Order', h('span', {}, h('span', { class: `swatch ${keyClass(order.order_id)}`, 'aria-hidden': 'true' }), h('code', { text: order.order_id }))],
    ['Status', h('span', { class: 'status', 'data-status': order.status, 'data-testid': 'journey-status', text: order.status })],
    ...(order.reason ? [['Reason', order.reason]] : []),
    ['Customer', order.customer_id],
    ['Items', order.items.map(({ product_id: product, quantity, price }) => `${quantity} × ${product} at ${money(price)}`).join(', ')],
    ['Total', money(order.total_amount)],
    ['To', order.shipping_address],
  ];
  parts.facts.replaceChildren(...rows.flatMap(([name, value]) => [h('dt', { text: name }), h('dd', {}, value)]));
  const began = Date.parse(order.created_at);
  keyed(parts.history, order.history, ({ status, timestamp }, index) => `${index}/${status}/${timestamp}`, (step, index) => makeStep(step, index, order.history, began));
  keyed(parts.events, events, ({ topic, partition, offset }) => `${topic}/${partition}/${offset}`, makeEvent);
  forbid(parts.cancel, order.status in ENDS ? ENDS[order.status] : order.cancel_requested_at ? 'It was asked for back; what comes of it is yet to be seen.' : null);
  commits(state, parts);
}

function makeStep({ status, timestamp, cause }, index, history, began) {
  const at = Date.parse(timestamp);
  const before = index ? Date.parse(history[index - 1].timestamp) : began;
  return h('li', {}, h('span', { class: 'status', 'data-status': status, text: status }), h('time', { text: clock(at, true), title: moment(at) }), h('span', { class: 'after', text: index ? `+${span(at - before)}` : '' }), h('span', { class: 'cause' }, 'by ', h('code', { text: cause })));
}

// Its dead letters lie among its events: each where it was put aside.
function eventsOf({ events, dead_letters: letters }) {
  const all = [...events, ...(letters ?? []).map((letter) => ({ ...letter, dead: true }))];
  return all.map((event) => ({ ...event, dead: event.dead ?? event.topic.endsWith(DEAD) })).sort((a, b) => a.timestamp - b.timestamp);
}

// order_placed.payment-service.dlq: what payment-service could not handle of order_placed.
function makeLetter(letter) {
  const { topic, partition, offset, timestamp, error, attempts } = letter;
  const name = topic.slice(0, -DEAD.length);
  const cut = name.lastIndexOf('.');
  const who = brief(letter.group ?? name.slice(cut + 1));
  const what = letter.origin ? `${letter.origin.topic}, offset ${letter.origin.offset}` : name.slice(0, cut);
  const why = [error, attempts ? `tried ${attempts === 1 ? 'once' : `${attempts} times`}` : null].filter(Boolean).join(' · ');
  const label = `Open the dead letter at ${topic}, partition ${partition}, offset ${offset}`;
  return h(
    'li',
    { class: 'letter', 'data-event': topic },
    h('div', { class: 'event' }, h('b', { text: 'dead letter' }), h('span', { class: 'quiet', text: `${who} could not handle ${what || 'it'}` }), h('time', { text: clock(timestamp, true) })),
    why ? h('p', { text: why }) : null,
    h('a', { class: 'where', href: recordHash(topic, partition, offset), 'aria-label': label }, h('code', { text: `${topic} · partition ${partition} · offset ${offset}` })),
    h('div', { class: 'chips' }),
  );
}

// orderflow.order_placed.v1 is told as order_placed.
const plain = (type) => type.replace(/^orderflow\./, '').replace(/\.v\d+$/, '');

function makeEvent(event) {
  if (event.dead) return makeLetter(event);
  const { topic, partition, offset, timestamp, type, status } = event;
  const label = `Open the record at ${topic}, partition ${partition}, offset ${offset}`;
  return h(
    'li',
    { class: groupClass(WRITER[topic] ?? ''), 'data-event': topic },
    h('div', { class: 'event' }, h('b', { text: type ? plain(type) : topic, title: type ?? topic }), status ? h('span', { class: 'quiet', text: status }) : null, h('time', { text: clock(timestamp, true) })),
    h('a', { class: 'where', href: recordHash(topic, partition, offset), 'aria-label': label, 'data-testid': 'open-record' }, h('code', { text: `${topic} · partition ${partition} · offset ${offset}` })),
    h('div', { class: 'chips' }),
  );
}

// Whether each group has committed beyond an event is known live, from the snapshots.
function commits({ events: shown, snapshot }, { events }) {
  for (const [index, event] of shown.entries()) {
    const node = events.children[index];
    if (!node || event.dead) continue;
    const now = snapshot ? readersOf(snapshot, event.topic, event.partition) : [];
    const readers = now.length ? now : (event.group_offsets ?? []);
    keyed(node.lastChild, readers, (reader) => `${reader.group}/${reader.committed}`, (reader) => commitChip(reader, event.offset));
  }
}
