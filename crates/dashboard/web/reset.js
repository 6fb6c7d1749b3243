// Setting a group's committed offsets, which Kafka allows only while the group has no members.

import { actionButton, forbid, send } from './actions.js';
import * as commands from './commands.js';
import { $, attr, h, text, toggle } from './dom.js';
import { count } from './format.js';
import { live } from './stream.js';

/** The form of a group. */
export function makeReset(group) {
  const to = h('select', { 'aria-label': `Where ${group} shall begin` }, h('option', { value: 'earliest', text: 'the earliest' }), h('option', { value: 'latest', text: 'the latest' }), h('option', { value: 'offset', text: 'offset' }), h('option', { value: 'ago', text: 'minutes ago' }));
  const figure = h('input', { type: 'number', min: '0', value: '0', inputmode: 'numeric', 'aria-label': 'Offset, or minutes', hidden: true });
  const topic = h('select', { 'aria-label': 'Topic' }, h('option', { value: '', text: 'all topics' }));
  const partition = h('select', { 'aria-label': 'Partition' }, h('option', { value: '', text: 'all partitions' }));
  const form = { to, figure, topic, partition };
  const button = actionButton('Reset offsets', { class: 'small', 'data-action': 'reset' }, () => send(`Reset ${group}`, `/api/groups/${encodeURIComponent(group)}/reset`, bodyOf(form), { commands: commands.resetting(group, bodyOf(form)) }), () => commands.resetting(group, bodyOf(form)));
  to.addEventListener('change', () => (figure.hidden = !['offset', 'ago'].includes(to.value)));
  topic.addEventListener('change', () => fillPartitions(form, node));
  const why = h('p', { class: 'why' });
  const node = h('details', { class: 'reset' }, h('summary', { text: 'Reset offsets' }), h('div', { class: 'row' }, h('span', { text: 'Begin at' }), to, figure, h('span', { text: 'of' }), topic, partition, button), why);
  node.form = form;
  return node;
}

// Minutes ago are counted by the server's clock, which Kafka's times are nearer to than this browser's.
function bodyOf({ to, figure, topic, partition }) {
  const value = Math.max(0, Math.floor(Number(figure.value) || 0));
  const body = { to: to.value === 'offset' ? { offset: value } : to.value === 'ago' ? { timestamp: live.snapshot.at - value * 60_000 } : to.value };
  if (topic.value) body.topic = topic.value;
  if (topic.value && partition.value !== '') body.partition = Number(partition.value);
  return body;
}

/** Shows what can be reset, and why it cannot. */
export function changeReset(node, { group, members, offsets }) {
  const topics = [...new Set(offsets.map(({ topic }) => topic))];
  node.partitions = offsets;
  const key = topics.join();
  if (node.topics !== key) {
    node.topics = key;
    node.form.topic.replaceChildren(h('option', { value: '', text: 'all topics' }), ...topics.map((topic) => h('option', { value: topic, text: topic })));
    fillPartitions(node.form, node);
  }
  const reason = members.length ? `${group} has ${count(members.length, 'member')}: a member would commit over it. Stop its instances first.` : null;
  forbid($('[data-action="reset"]', node), reason);
  const why = $('.why', node);
  text(why, reason ?? 'The group has no members: what is committed now is where the next member begins. Earliest has everything handled again, and no step is done twice.');
  toggle(why, 'stops', Boolean(reason));
  attr(node, 'data-allowed', String(!reason));
}

function fillPartitions({ topic, partition }, node) {
  const there = (node.partitions ?? []).filter((offset) => offset.topic === topic.value).slice(0, 200);
  partition.replaceChildren(h('option', { value: '', text: 'all partitions' }), ...there.map((offset) => h('option', { value: String(offset.partition), text: `partition ${offset.partition}` })));
  partition.disabled = !topic.value;
}
