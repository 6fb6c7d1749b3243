// Acting on the shop: one order, a stream of orders, and a record that is no event.

import { actionButton, forbid, forbidden, send } from './actions.js';
import { hand, handsButton } from './byhand.js';
import * as commands from './commands.js';
import { $, attr, h, text } from './dom.js';
import { count, money, num, sentence } from './format.js';
import { orderHash } from './routes.js';
import { live } from './stream.js';

const MOST = 1000;
const STEPS = 100;
const SETTLE_MS = 250;

let products = [];
let placeButton = null;
let dragging = false;
let settle = 0;
let sent = null;
let poison = null;
const poisoned = h('select', { id: 'poison-topic', 'aria-label': 'Topic to poison' });

/** Makes the buttons, and listens to the form. */
export function start() {
  placeButton = actionButton('Place an order', { id: 'place-order', class: 'primary' }, place, () => [...commands.placing(order()), commands.curl('/api/orders', order())]);
  $('#place-slot').append(placeButton, handsButton('placing an order'));
  for (const input of $('#order-form').querySelectorAll('input, select')) input.addEventListener('input', total);
  $('#product').addEventListener('input', takePrice);
  $('#order-form').addEventListener('submit', (event) => {
    event.preventDefault();
    placeButton.click();
  });
  slider();
  poison = actionButton('Poison', { id: 'poison', class: 'danger', 'data-action': 'poison' }, () => send(`Poison ${poisoned.value}`, '/api/poison', { topic: poisoned.value }, { commands: commands.poisoning(poisoned.value) }), () => commands.poisoning(poisoned.value));
  $('#poison-slot').append(poisoned, poison, handsButton('poison'));
  // Until it is known what there is, there is nothing to act on.
  for (const button of [placeButton, poison]) forbid(button, null);
}

/** Shows a snapshot. */
export function render(snapshot) {
  offer(snapshot);
  forbid(placeButton, null);
  forbid(poison, snapshot.kafka.state === 'away' ? 'Kafka is away: nothing can be written.' : poisoned.value ? null : 'There are no topics yet.');
  const { rate, placed, failed, stopped } = snapshot.load;
  const slide = $('#rate');
  const reason = forbidden();
  slide.disabled = Boolean(reason);
  attr(slide, 'aria-description', reason);
  for (const button of document.querySelectorAll('[data-rate]')) {
    forbid(button, null);
    attr(button, 'aria-pressed', String(Number(button.dataset.rate) === rate));
  }
  text($('#load-told'), `${num(placed)} placed${failed ? `, ${num(failed)} failed` : ''}`);
  text($('#load-stopped'), sentence(stopped));
  $('#load-stopped').hidden = !stopped;
  // A rate that was asked for and is not told yet is not taken back.
  if (!dragging && sent === null) show(rate);
  if (sent === rate) sent = null;
}

function offer({ stock, topics }) {
  const key = stock.map(({ product_id: product, price }) => `${product}:${price}`).join();
  const select = $('#product');
  if (select.offered !== key) {
    select.offered = key;
    products = stock;
    const chosen = select.value;
    select.replaceChildren(...stock.map(({ product_id: product, price }) => h('option', { value: product, text: `${product} at ${money(price)}` })));
    const inStock = stock.find(({ quantity }) => quantity > 0) ?? stock[0];
    select.value = stock.some(({ product_id: product }) => product === chosen) ? chosen : (inStock?.product_id ?? '');
    takePrice();
  }
  const names = topics.filter(({ kind }) => kind === 'pipeline').map(({ topic }) => topic);
  const all = names.length ? names : ['order_placed'];
  if (poisoned.offered === all.join()) return;
  poisoned.offered = all.join();
  poisoned.replaceChildren(...all.map((topic) => h('option', { value: topic, text: topic })));
}

function takePrice() {
  const product = products.find(({ product_id: id }) => id === $('#product').value);
  if (product) $('#price').value = product.price.toFixed(2);
  total();
}

function total() {
  text($('#total'), money(order().total_amount));
}

function order() {
  const cents = Math.round(Number($('#price').value) * 100) || 0;
  const quantity = Math.max(1, Math.floor(Number($('#quantity').value) || 1));
  return {
    customer_id: $('#customer').value.trim() || 'C001',
    items: [{ product_id: $('#product').value || 'P001', quantity, price: cents / 100 }],
    shipping_address: $('#address').value.trim() || '1 Main Street, Springfield',
    total_amount: (cents * quantity) / 100,
  };
}

async function place() {
  const wanted = order();
  await send('Place an order', '/api/orders', wanted, {
    commands: commands.placing(wanted),
    said: (answer) => (answer?.order_id ? `placed order …${answer.order_id.slice(-8)}` : 'placed an order'),
    more: (answer) => (answer?.order_id ? h('a', { class: 'button small', href: orderHash(answer.order_id), 'data-testid': 'follow-placed', text: 'Follow it' }) : null),
  });
}

// The slider is logarithmic: each step is the same part more, and one order a second more at least. Its left end is none at all.
const RATES = [0];
for (let step = 1; step <= STEPS; step++) RATES.push(Math.max(RATES[step - 1] + 1, Math.round(MOST ** (step / STEPS))));
const rateAt = (step) => RATES[Math.max(0, Math.min(STEPS, step))];
const stepOf = (rate) => Math.max(0, RATES.findLastIndex((known) => known <= rate));

function slider() {
  const slide = $('#rate');
  hand(slide, () => commands.loading(rateAt(Number(slide.value))));
  attr(slide, 'aria-label', 'Orders a second');
  slide.addEventListener('input', () => {
    dragging = true;
    const rate = rateAt(Number(slide.value));
    label(rate);
    clearTimeout(settle);
    settle = setTimeout(() => changed(rate), SETTLE_MS);
  });
  for (const button of [0, 5, 50, 1000].map(preset)) $('#presets').append(button);
  $('#presets').append(handsButton('the stream of orders'));
}

function preset(rate) {
  return actionButton(rate ? `${num(rate)}/s` : 'None', { class: 'small', 'data-rate': rate, 'aria-label': rate ? `${num(rate)}/s: a stream of orders` : 'None: no stream of orders' }, () => ask(rate), () => commands.loading(rate));
}

// Where the slider came back to what was asked for last, there is nothing to ask.
function changed(rate) {
  if (rate !== (sent ?? live.snapshot?.load.rate)) return ask(rate);
  dragging = false;
}

async function ask(rate) {
  clearTimeout(settle);
  sent = rate;
  show(rate);
  const done = await send(rate ? `A stream of ${count(rate, 'order')} a second` : 'Stop the stream', '/api/load', { rate }, { commands: commands.loading(rate), said: () => (rate ? `${count(rate, 'order')} a second from now on` : 'no more orders by themselves'), about: 'load' });
  dragging = false;
  // Whoever is slower than this has asked for something else meanwhile.
  if (!done && sent === rate) sent = null;
  setTimeout(() => sent === rate && (sent = null), 2000);
}

function show(rate) {
  const slide = $('#rate');
  if (rateAt(Number(slide.value)) !== rate) slide.value = String(stepOf(rate));
  label(rate);
}

function label(rate) {
  text($('#rate-figure'), num(rate));
  attr($('#rate'), 'aria-valuetext', rate ? `${count(rate, 'order')} a second` : 'none');
  $('#rate').style.setProperty('--part', String(stepOf(rate) / STEPS));
}
