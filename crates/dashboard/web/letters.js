// The dead letters: what a group could not handle, by topic, with the records and why, sent back or dropped.

import { actionButton, forbid, send } from './actions.js';
import { get } from './api.js';
import { commandLine, handsButton } from './byhand.js';
import * as commands from './commands.js';
import { $, h, keyed, text } from './dom.js';
import { brief, clock, count, groupClass, num } from './format.js';
import { recordHash } from './routes.js';
import { live } from './stream.js';

const MOST = 20;
const SURE_MS = 4000;

/** Shows a snapshot. */
export function render(snapshot) {
  const letters = snapshot.dead_letters.filter(({ count: there }) => there > 0);
  keyed($('#letter-list'), letters, ({ topic }) => topic, make, (node, there) => change(node, there, snapshot));
  $('#letters-none').hidden = letters.length > 0;
  const total = letters.reduce((sum, { count: there }) => sum + there, 0);
  text($('#letters-count'), total ? num(total) : '');
}

function make({ topic, group, origin }) {
  const path = (action) => `/api/dead-letters/${encodeURIComponent(topic)}/${action}`;
  const list = h('ol', { class: 'letters', id: `letters-${topic}`, hidden: true });
  const open = h('button', { type: 'button', class: 'small', 'aria-expanded': 'false', 'aria-controls': list.id, 'aria-label': `Show the letters of ${topic}`, 'data-action': 'show', text: 'Show' });
  const redrive = actionButton('Redrive', { class: 'small', 'aria-label': `Redrive ${topic}`, 'data-action': 'redrive' }, () => send(`Redrive ${topic}`, path('redrive'), { all: true }, { commands: commands.redriving(topic) }), () => [...commands.redriving(topic), commands.curl(path('redrive'), { all: true })]);
  const drop = actionButton('Drop', { class: 'small danger', 'aria-label': `Drop ${topic}`, 'data-action': 'drop' }, () => sure(drop, () => send(`Drop ${topic}`, path('drop'), { all: true }, { commands: commands.dropping(topic) })), () => [...commands.dropping(topic), commands.curl(path('drop'), { all: true })]);
  const node = h(
    'article',
    { class: `dead ${groupClass(group)}`, 'data-dead-letters': topic, 'data-hands': '' },
    h('div', { class: 'row' }, h('div', { class: 'what' }, h('b', { class: 'count' }), h('span', {}, ` of `, h('code', { text: origin }), ` that ${brief(group)} could not handle`)), h('span', { class: 'segments', role: 'group', 'aria-label': topic }, open, redrive, drop), handsButton(topic)),
    list,
  );
  open.addEventListener('click', () => {
    list.hidden = !list.hidden;
    open.setAttribute('aria-expanded', String(!list.hidden));
    open.textContent = list.hidden ? 'Show' : 'Hide';
    open.setAttribute('aria-label', `${open.textContent} the letters of ${topic}`);
    if (!list.hidden) load(node, topic);
  });
  return node;
}

function change(node, { topic, count: there }, snapshot) {
  text($('.count', node), count(there, 'letter'));
  for (const button of node.querySelectorAll('[data-action="redrive"], [data-action="drop"]')) forbid(button, null);
  // As many as before may be others: where they lie tells.
  const lie = partitionsOf(snapshot, topic).map(({ start, end }) => `${start}-${end}`).join();
  if (node.turn && node.lie !== lie) load(node, topic);
  node.lie = lie;
}

const partitionsOf = (snapshot, name) => snapshot?.topics.find(({ topic }) => topic === name)?.partitions ?? [{ partition: 0, start: 0, end: 1 }];

// What is dropped is gone, so it is asked for twice; the second time within four seconds.
function sure(button, act) {
  if (button.dataset.sure) {
    delete button.dataset.sure;
    button.textContent = 'Drop';
    act();
    return;
  }
  button.dataset.sure = 'asked';
  button.textContent = 'Sure?';
  setTimeout(() => {
    delete button.dataset.sure;
    button.textContent = 'Drop';
  }, SURE_MS);
}

async function load(node, topic) {
  const list = $('.letters', node);
  // Loads that are overtaken by a later one show nothing.
  const turn = (node.turn = (node.turn ?? 0) + 1);
  const partitions = partitionsOf(live.snapshot, topic);
  let letters;
  try {
    const pages = await Promise.all(partitions.filter(({ start, end }) => end > start).map(({ partition, start }) => get(`/api/records?topic=${encodeURIComponent(topic)}&partition=${partition}&offset=${start}&limit=${MOST}`)));
    letters = pages.flatMap(({ items }) => items).slice(0, MOST);
  } catch (error) {
    if (turn === node.turn) list.replaceChildren(h('li', { class: 'problem', text: error.message }));
    return;
  }
  if (turn === node.turn) list.replaceChildren(...letters.map(makeLetter));
}

function makeLetter({ topic, partition, offset, timestamp, key, headers, value }) {
  const said = new Map(headers);
  const origin = said.has('dlq_topic') ? `${said.get('dlq_topic')} · partition ${said.get('dlq_partition')} · offset ${said.get('dlq_offset')}` : 'not said';
  const tries = said.get('dlq_attempts');
  return h(
    'li',
    { 'data-letter': offset },
    h('p', { class: 'error', text: said.get('dlq_error') ?? 'no reason is given' }),
    h('p', { class: 'quiet' }, `from `, said.has('dlq_topic') ? h('a', { href: recordHash(said.get('dlq_topic'), said.get('dlq_partition'), said.get('dlq_offset')) }, h('code', { text: origin })) : origin, tries === undefined ? '' : tries === '0' ? ' · could not even be read' : ` · tried ${tries} times`, ` · ${clock(timestamp)}`),
    h('p', { class: 'quiet' }, h('a', { href: recordHash(topic, partition, offset) }, `offset ${num(offset)}`), key ? ` · key ${key}` : ' · no key', ' · ', h('code', { class: 'preview', text: (value ?? 'null').slice(0, 80) })),
    ...commands.showing(topic, offset).map(commandLine),
  );
}
