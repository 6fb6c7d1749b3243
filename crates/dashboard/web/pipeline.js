// The picture: services as lifelines, topics as lanes between them, in the order in which an order passes; what flows, flows as fast as it
// is read.

import { $, attr, h, keyed, s, style, text, toggle } from './dom.js';
import { flow } from './flow.js';
import { brief, compact, groupClass, inOrder, rate } from './format.js';
import { stateOf } from './services.js';

const WRITER = {
  order_placed: 'order-service',
  order_cancelled: 'order-service',
  payment_processed: 'payment-service',
  inventory_updated: 'inventory-service',
  shipment_processed: 'shipment-service',
};
// Who carries the order on; the others that read a topic do it on the side.
const MAIN = {
  order_placed: 'payment-service',
  payment_processed: 'inventory-service',
  inventory_updated: 'shipment-service',
  shipment_processed: 'order-service',
  order_cancelled: 'shipment-service',
};
// Who reads it, until the groups say so themselves.
const READERS = {
  order_placed: ['payment-service'],
  payment_processed: ['order-service', 'inventory-service'],
  inventory_updated: ['order-service', 'payment-service', 'shipment-service'],
  shipment_processed: ['order-service', 'inventory-service'],
  order_cancelled: ['shipment-service'],
};
const LANES = ['order_placed', 'payment_processed', 'inventory_updated', 'shipment_processed', 'order_cancelled'];

const HEAD = 58;
// Where a head is too narrow for name and outbox beside each other, the outbox has a line of its own.
const HEAD_TALL = 74;
const NARROW = 100;
const BAND = 18;
const STEP = 46;
const SMOOTH = 0.5;
const SMOOTH_STILL = 0.8;
const STILL_MS = 800;

const svg = s('svg', { role: 'img', 'aria-label': 'The pipeline' });
const layers = { band: s('rect', { class: 'band', rx: 10 }), lives: s('g'), lanes: s('g'), heads: s('g') };
// What moves is HTML above the picture: the browser then moves it without drawing it anew.
const flows = h('div', { class: 'flows', 'aria-hidden': 'true' });
const seen = new Map();
let width = 0;

/** Puts the picture where it belongs. */
export function start() {
  svg.append(layers.band, layers.lives, layers.lanes, layers.heads);
  const frame = $('#picture');
  frame.append(svg, flows);
  new ResizeObserver(([entry]) => {
    width = Math.floor(entry.contentRect.width);
    if (latest) render(latest);
  }).observe(frame);
}

let latest = null;

/** Draws a snapshot. */
export function render(snapshot) {
  latest = snapshot;
  if (!width) return;
  const services = inOrder(snapshot.services.map(({ service }) => service));
  const x = new Map(services.map((service, index) => [service, Math.round((width * (index + 0.5)) / services.length)]));
  const size = Math.min(168, width / services.length - 8);
  const lanes = lanesOf(snapshot, x, first(size));
  const bottom = first(size) + (LANES.length - 1) * STEP + 30;
  attr(svg, 'viewBox', `0 0 ${width} ${bottom}`);
  attr(svg, 'height', bottom);
  attr(layers.band, 'x', 0.5);
  attr(layers.band, 'y', head(size) + BAND + 0.5);
  attr(layers.band, 'width', Math.max(0, width - 1));
  attr(layers.band, 'height', bottom - head(size) - BAND - 1);
  toggle(svg, 'away', snapshot.kafka.state === 'away');
  keyed(layers.lives, services, (name) => name, () => s('line', { class: 'life' }), (line, name) => {
    for (const [key, value] of Object.entries({ x1: x.get(name), x2: x.get(name), y1: head(size), y2: bottom - 8 })) attr(line, key, value);
    attr(line, 'class', `life ${groupClass(name)} ${overall(snapshot, name)}`);
  });
  keyed(layers.heads, services, (name) => name, makeHead, (node, name) => changeHead(node, name, snapshot, x.get(name), size));
  keyed(layers.lanes, lanes, (lane) => lane.topic, makeLane, changeLane);
  const moving = lanes.flatMap((lane) => lane.readers.map((reader) => ({ key: `${lane.topic}/${reader.group}`, lane, reader })));
  keyed(flows, moving, ({ key }) => key, () => h('div', {}, h('i', {})), changeFlow);
  attr(svg, 'aria-label', told(snapshot, services, lanes));
}

const head = (size) => (size < NARROW ? HEAD_TALL : HEAD);
const first = (size) => head(size) + BAND + 30;

function lanesOf(snapshot, x, top) {
  return LANES.map((topic, index) => {
    const found = snapshot.topics.find((candidate) => candidate.topic === topic);
    const readers = [];
    for (const group of x.keys()) {
      const known = snapshot.groups.find((candidate) => candidate.group === group);
      const mine = (known?.offsets ?? []).filter((offset) => offset.topic === topic);
      if (!mine.length && !READERS[topic].includes(group)) continue;
      readers.push({
        group,
        x: x.get(group),
        lag: mine.reduce((sum, { lag }) => sum + (lag ?? 0), 0),
        rate: readRate(`${group}/${topic}`, mine, snapshot.at),
        dead: snapshot.dead_letters.find((letters) => letters.origin === topic && letters.group === group)?.count ?? 0,
        main: MAIN[topic] === group,
      });
    }
    const writer = WRITER[topic];
    return { topic, y: top + index * STEP, writer, x: x.get(writer) ?? 0, rate: found?.rate ?? 0, there: Boolean(found), readers };
  });
}

// Records a second that a group gets done, from how its committed offsets move; smoothed, since commits come in leaps.
function readRate(key, offsets, at) {
  const sum = offsets.reduce((total, { position, committed }) => total + (position ?? committed ?? 0), 0);
  const before = seen.get(key);
  if (before?.at === at) return before.rate;
  // The first look tells no rate; nor does one that is earlier than the last: another server's, or another clock's.
  if (!before || at < before.at) {
    seen.set(key, { at, sum, rate: 0 });
    return 0;
  }
  const now = Math.max(0, ((sum - before.sum) * 1000) / (at - before.at));
  // A whole second without anything is no pause between two commits.
  const still = now === 0 && at - before.at >= STILL_MS;
  const smooth = before.rate + (now - before.rate) * (still ? SMOOTH_STILL : SMOOTH);
  seen.set(key, { at, sum, rate: smooth < (still ? 0.5 : 0.05) ? 0 : smooth });
  return seen.get(key).rate;
}

function overall(snapshot, name) {
  const instances = snapshot.services.find(({ service }) => service === name)?.instances ?? [];
  return stateOf(instances);
}

function makeHead(name) {
  return s(
    'g',
    { class: `head ${groupClass(name)}`, 'data-testid': `picture-${name}` },
    s('rect', { class: 'box', y: 4, rx: 9 }),
    s('rect', { class: 'edge', y: 4, width: 4, rx: 2 }),
    s('text', { class: 'name', y: 25 }, brief(name)),
    s('circle', { class: 'dot', r: 4, cy: 42 }),
    s('text', { class: 'state', y: 46 }),
    s('text', { class: 'outbox' }),
  );
}

function changeHead(node, name, snapshot, center, size) {
  const [box, edge, title, dot, state, outbox] = node.children;
  const left = Math.round(center - size / 2);
  const wide = size > 130;
  attr(box, 'x', left);
  attr(box, 'width', size);
  attr(edge, 'x', left);
  for (const part of [box, edge]) attr(part, 'height', head(size) - 4);
  attr(title, 'x', left + (wide ? 14 : 9));
  // A name that is wider than its box is drawn narrower.
  const room = Math.round(size - 14);
  const tight = !wide && brief(name).length * 6.4 > room;
  attr(title, 'textLength', tight ? room : null);
  attr(title, 'lengthAdjust', tight ? 'spacingAndGlyphs' : null);
  attr(dot, 'cx', left + (wide ? 18 : 13));
  attr(state, 'x', left + (wide ? 27 : 21));
  const instances = snapshot.services.find(({ service }) => service === name)?.instances ?? [];
  const running = instances.filter((instance) => instance.state === 'running').length;
  const overallState = stateOf(instances);
  attr(node, 'class', `head ${groupClass(name)} ${overallState}${wide ? '' : ' narrow'}`);
  text(state, wide ? `${overallState} ${running}/${instances.length}` : `${running}/${instances.length}`);
  const backlog = name === 'order-service' ? snapshot.orders.backlog : null;
  const own = size < NARROW;
  attr(outbox, 'x', left + size - 8);
  attr(outbox, 'y', own ? HEAD_TALL - 10 : 24);
  attr(outbox, 'data-testid', name === 'order-service' ? 'outbox-backlog' : null);
  text(outbox, backlog === null || backlog === undefined || (!wide && !backlog) ? '' : wide ? `outbox ${compact(backlog)}` : `+${compact(backlog)}`);
  toggle(outbox, 'waits', backlog > 0);
}

function makeLane({ topic }) {
  return s(
    'g',
    { class: 'lane', 'data-lane': topic },
    s('line', { class: 'log' }),
    s('g', { class: 'readers' }),
    s('circle', { class: 'source', r: 5 }),
    // The space at the end keeps browsers from cutting the last letter off when the figure grows.
    s('text', { class: 'topic' }, s('tspan', { class: 'topic-name' }, topic), s('tspan', { class: 'topic-rate', dx: 8 }), s('tspan', {}, '\u00a0')),
  );
}

function changeLane(node, lane) {
  const [log, readers, source, label] = node.children;
  const ends = [lane.x, ...lane.readers.map((reader) => reader.x)];
  const [from, to] = [Math.min(...ends), Math.max(...ends)];
  attr(node, 'class', `lane ${groupClass(lane.writer)}${lane.there ? '' : ' missing'}`);
  for (const [key, value] of Object.entries({ x1: from, x2: to, y1: lane.y, y2: lane.y })) attr(log, key, value);
  attr(source, 'cx', lane.x);
  attr(source, 'cy', lane.y);
  attr(label, 'x', from + 12);
  attr(label, 'y', lane.y - 10);
  text(label.children[1], lane.there ? `${rate(lane.rate)}/s` : 'not there yet');
  keyed(readers, lane.readers, (reader) => reader.group, makeReader, (arrow, reader) => changeReader(arrow, reader, lane));
}

function makeReader({ group }) {
  return s(
    'g',
    { class: 'reader', 'data-reader': group },
    s('path', { class: 'tip' }),
    s('text', { class: 'lag' }, s('tspan', { class: 'dead' }), s('tspan', {})),
  );
}

function changeReader(node, reader, lane) {
  const [tip, lag] = node.children;
  const [dead, behind] = lag.children;
  const away = reader.x > lane.x ? 1 : -1;
  attr(node, 'class', `reader${reader.main ? ' main' : ''}`);
  attr(tip, 'd', `M${reader.x - away * 1} ${lane.y}l${-away * 9} -5v10z`);
  attr(lag, 'x', reader.x - away * 6);
  attr(lag, 'y', lane.y + 15);
  attr(lag, 'text-anchor', away > 0 ? 'end' : 'start');
  text(dead, reader.dead ? `✕ ${compact(reader.dead)} dead${reader.lag ? ' · ' : ''}` : '');
  text(behind, reader.lag ? `lag ${compact(reader.lag)}` : '');
  toggle(lag, 'behind', reader.lag > 0);
}

// A record passes the nearer readers on its way to the farther ones: each flow begins at the reader before it.
function changeFlow(node, { lane, reader }) {
  const right = reader.x > lane.x;
  const nearer = lane.readers.map(({ x }) => x).filter((x) => (right ? x > lane.x && x < reader.x : x < lane.x && x > reader.x));
  const begin = right ? Math.max(lane.x, ...nearer) : Math.min(lane.x, ...nearer);
  const [from, to] = [Math.min(begin, reader.x), Math.max(begin, reader.x)];
  style(node, 'left', `${from + 8}px`);
  style(node, 'top', `${lane.y - 5}px`);
  style(node, 'width', `${Math.max(0, to - from - 17)}px`);
  attr(node, 'class', groupClass(lane.writer));
  flow(node.firstChild, reader.rate, right);
}

function told(snapshot, services, lanes) {
  const who = services.map((name) => `${name} ${overall(snapshot, name)}`).join(', ');
  const what = lanes
    .filter((lane) => lane.there)
    .map((lane) => `${lane.topic} from ${lane.writer}, ${rate(lane.rate)} a second, read by ${lane.readers.map((reader) => `${reader.group} (lag ${reader.lag})`).join(', ') || 'nobody'}`);
  return `Services: ${who}. Topics: ${what.join('; ')}.`;
}

/** The line that says how Kafka is, above the lanes' band. */
export function kafkaLine(snapshot) {
  const { kafka } = snapshot;
  const servers = kafka.bootstrap_servers;
  if (kafka.state === 'away') return `Kafka is away: ${servers.replaceAll(',', ', ')} ${servers.includes(',') ? 'do' : 'does'} not answer`;
  const brokers = kafka.brokers.length === 1 ? `broker ${kafka.brokers[0].id}` : `${kafka.brokers.length} brokers`;
  return `Kafka${kafka.embedded ? ', embedded,' : ''} at ${kafka.bootstrap_servers} · ${brokers}, controller ${kafka.controller ?? '–'}`;
}
