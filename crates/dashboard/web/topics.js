// The topics: those of the pipeline in the order in which an order passes them, then what else there is. What has no records is one line.

import { $, attr, h, keyed, text, toggle } from './dom.js';
import { brief, compact, count, num, rate } from './format.js';
import { changeLane, makeLane } from './lane.js';
import { lastSeen } from './status.js';
import { schedule } from './stream.js';

const ORDER = ['order_placed', 'payment_processed', 'inventory_updated', 'shipment_processed', 'order_cancelled'];
// Lanes glide only while there are few of them: a hundred at once is unrest, and work.
const MOST_GLIDING = 40;

// What is not on the screen is not brought up to date until it is.
const visible = new WeakSet();
const watcher = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) visible.add(target);
      else visible.delete(target);
    }
    schedule();
  },
  { rootMargin: '200px' },
);

const folded = new Map();

/** Shows a snapshot. */
export function render(snapshot) {
  const topics = [...snapshot.topics].filter(({ kind, partitions }) => kind !== 'dead_letters' || records(partitions) > 0).sort(byKind);
  const busy = topics.filter(({ partitions }) => records(partitions) > 0);
  const empty = topics.filter(({ partitions }) => records(partitions) === 0);
  const lanes = busy.reduce((sum, { partitions }) => sum + partitions.length, 0);
  const readers = readersOf(snapshot);
  keyed($('#topic-list'), busy, ({ topic }) => topic, makeTopic, (node, topic) => changeTopic(node, topic, readers, lanes <= MOST_GLIDING));
  keyed($('#empty-topics'), empty, ({ topic }) => topic, makeEmpty, (node, topic) => text(node.lastChild, count(topic.partitions.length, 'partition')));
  $('#empty-topics').hidden = !empty.length;
  text($('#topics-count'), `${count(topics.length, 'topic')}, ${count(topics.reduce((sum, topic) => sum + topic.partitions.length, 0), 'partition')}${lastSeen() && `, ${lastSeen()}`}`);
  $('#topics-none').hidden = topics.length > 0;
  text($('#topics-none'), snapshot.kafka.state === 'away' ? 'Kafka is away: nothing is known of its topics.' : 'No topics yet. The services make them when they start.');
}

const records = (partitions) => partitions.reduce((sum, { start, end }) => sum + end - start, 0);

function byKind(a, b) {
  const rank = ({ topic, kind }) => (ORDER.includes(topic) ? ORDER.indexOf(topic) : kind === 'pipeline' ? 10 : kind === 'other' ? 11 : 12);
  return rank(a) - rank(b) || a.topic.localeCompare(b.topic);
}

// The offsets of all groups by topic and partition.
function readersOf({ groups }) {
  const found = new Map();
  for (const { group, offsets } of groups) {
    for (const offset of offsets) {
      const key = `${offset.topic}/${offset.partition}`;
      if (!found.has(key)) found.set(key, []);
      found.get(key).push({ group, ...offset });
    }
  }
  return found;
}

function makeEmpty({ topic }) {
  return h('li', { 'data-topic': topic }, h('code', { text: topic }), h('span', {}));
}

function makeTopic({ topic, kind, partitions }) {
  const id = `lanes-${topic}`;
  const fold = h('button', { type: 'button', class: 'fold', 'aria-expanded': 'true', 'aria-controls': id }, h('span', { class: 'chevron', 'aria-hidden': 'true' }), h('code', { text: topic }));
  const node = h(
    'article',
    { class: `topic ${kind}`, 'data-topic-block': topic },
    h('h3', {}, fold),
    h('span', { class: 'facts' }, h('span', { class: 'rate' }), h('span', { class: 'records' }), h('span', { class: 'lag' })),
    h('div', { class: 'lanes', id }),
  );
  if (!folded.has(topic)) folded.set(topic, partitions.length > 6);
  fold.addEventListener('click', () => {
    folded.set(topic, !folded.get(topic));
    schedule();
  });
  watcher.observe(node);
  return node;
}

function changeTopic(node, { topic, partitions, rate: perSecond }, readers, glide) {
  const [title, facts, lanes] = node.children;
  // The sum over all groups, as everywhere; where most of it is, is told beside it.
  const stands = partitions.flatMap(({ partition }) => (readers.get(`${topic}/${partition}`) ?? []).map(({ group, lag: behind }) => ({ group, partition, behind: behind ?? 0 })));
  const lag = stands.reduce((sum, { behind }) => sum + behind, 0);
  const worst = stands.reduce((most, one) => (one.behind > (most?.behind ?? 0) ? one : most), null);
  text(facts.children[0], `${rate(perSecond)}/s`);
  const there = records(partitions);
  text(facts.children[1], there === 1 ? '1 record' : `${compact(there)} records`);
  text(facts.children[2], lag ? `${compact(lag)} behind` : 'nobody behind');
  attr(facts.children[2], 'title', worst && `most: ${brief(worst.group)} in partition ${worst.partition}, ${num(worst.behind)}`);
  toggle(facts.children[2], 'behind', lag > 0);
  const open = !folded.get(topic);
  attr(title.firstChild, 'aria-expanded', String(open));
  lanes.hidden = !open;
  if (!visible.has(node) && lanes.childElementCount) return;
  keyed(
    lanes,
    open ? partitions : [],
    ({ partition }) => partition,
    ({ partition }) => makeLane(topic, partition),
    (lane, partition) => changeLane(lane, partition, readers.get(`${topic}/${partition.partition}`) ?? [], glide),
  );
}
