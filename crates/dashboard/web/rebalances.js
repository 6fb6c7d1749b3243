// The rebalances, newest first: which group, from which generation to which, and what moved from whom to whom.

import { $, h, keyed, text } from './dom.js';
import { ago, brief, clock, count, groupClass, instanceName, memberSign, moment } from './format.js';
import { announce } from './log.js';
import { live } from './stream.js';

const MOST_PARTITIONS = 12;
const WHY = { session_timed_out: 'session timed out', left: 'the last member left', gone: 'the last member is gone' };

let latest = null;

/** Shows a snapshot. */
export function render(snapshot) {
  keyed($('#rebalance-list'), snapshot.rebalances.slice(0, 30), keyOf, make, (node, { at }) => text($('.ago', node), ago(snapshot.at - at)));
  $('#rebalances-none').hidden = snapshot.rebalances.length > 0;
  const [newest] = snapshot.rebalances;
  const key = newest ? keyOf(newest) : '';
  if (latest !== null && key !== latest && newest) announce(`${newest.group} rebalanced: ${what(newest)}, ${count(newest.moves.length, 'partition')} moved`);
  latest = key;
}

const keyOf = ({ at, group, generation }) => `${at}/${group}/${generation}`;

function make(rebalance) {
  const { at, group, generation, moves } = rebalance;
  const fresh = live.snapshot.at - at < 5000;
  return h(
    'li',
    { class: `rebalance ${groupClass(group)}${fresh ? ' fresh' : ''}`, 'data-rebalance': group, 'data-generation': generation },
    h('p', { class: 'what' }, h('b', { text: brief(group) }), h('span', { class: 'generations', text: what(rebalance) }), h('time', { text: clock(at), title: moment(at) }), h('span', { class: 'ago' })),
    ...(moves.length ? byPair(moves).map((pair) => makeMove(group, pair)) : [h('p', { class: 'quiet', text: 'Nothing moved: everyone has what they had.' })]),
  );
}

// Only a member can tell the generation: there may be none. Readers can also change without a new one: when the last of them is gone.
function what({ was, generation: now, reason }) {
  const why = reason ? (WHY[reason] ?? reason.replaceAll('_', ' ')) : null;
  if (now === null || now === was) return why ?? (now === null ? 'generation not known' : `still generation ${now}`);
  const generations = was === null ? `generation ${now}` : `generation ${was} → ${now}`;
  return why ? `${generations}, ${why}` : generations;
}

// Partitions that went the same way are one line.
function byPair(moves) {
  const pairs = new Map();
  for (const { topic, partition, from, to } of moves) {
    const key = `${from}\n${to}`;
    if (!pairs.has(key)) pairs.set(key, { from, to, partitions: new Map() });
    const topics = pairs.get(key).partitions;
    if (!topics.has(topic)) topics.set(topic, []);
    topics.get(topic).push(partition);
  }
  return [...pairs.values()];
}

function makeMove(group, { from, to, partitions }) {
  const where = [...partitions].flatMap(([topic, numbers]) => h('span', { class: 'partitions' }, h('code', { text: topic }), ` ${numbers.slice(0, MOST_PARTITIONS).join(', ')}${numbers.length > MOST_PARTITIONS ? ` and ${numbers.length - MOST_PARTITIONS} more` : ''}`));
  return h('div', { class: 'move' }, party(group, from), h('span', { class: 'arrow', 'aria-label': 'to', role: 'img', text: '→' }), party(group, to), h('div', { class: 'moved' }, ...where));
}

function party(group, id) {
  if (!id) return h('span', { class: 'party' }, h('span', { class: 'member nobody', 'aria-hidden': 'true', text: '–' }), h('span', { text: 'nobody' }));
  const name = instanceName(group, id);
  const { sign, colour } = memberSign(group, name);
  return h('span', { class: 'party', title: id }, h('span', { class: `member ${colour}`, 'aria-hidden': 'true', text: sign }), h('span', { class: 'called', text: name.replace(`${group}-`, `${brief(group)}-`) }));
}
