// One record: where it lies, its key, headers and value, and who has committed beyond it.

import { get } from './api.js';
import { commandLine } from './byhand.js';
import * as commands from './commands.js';
import { h, keyed } from './dom.js';
import { keyClass, moment, num } from './format.js';
import { commitChip, readersOf } from './groups.js';
import { json } from './json.js';
import { openOrder, openRecord } from './routes.js';

const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Opens a record in `body`; what is returned is told of snapshots and stopped when something else is shown. */
export function open({ topic, partition, offset }, body) {
  let stopped = false;
  const step = (by, label, name) => h('button', { type: 'button', class: 'small', 'data-testid': `record-${name}`, 'data-step': name, text: label, on: { click: () => openRecord(topic, partition, offset + by) } });
  const before = step(-1, '← offset before', 'before');
  const after = step(1, 'offset after →', 'after');
  const commits = h('div', { class: 'chips', 'data-testid': 'record-commits' });
  const content = h('div', { 'data-testid': 'record', 'aria-busy': 'true' }, h('p', { class: 'quiet', text: 'Reading it from Kafka …' }));
  body.append(h('div', { class: 'row spread' }, before, after), content, h('h3', { text: 'Who has committed beyond it' }), commits, h('h3', { text: 'By hand' }), ...commands.reading(topic, partition, offset).map(commandLine));
  load(topic, partition, offset).then(
    (record) => stopped || show(content, record, offset),
    (error) => stopped || content.replaceChildren(h('p', { class: 'problem', role: 'alert', text: error.message })),
  );
  return {
    kind: 'Record',
    title: `${topic} · partition ${partition} · offset ${num(offset)}`,
    stop: () => (stopped = true),
    render(snapshot) {
      const there = snapshot.topics.find((candidate) => candidate.topic === topic)?.partitions.find((candidate) => candidate.partition === partition);
      before.disabled = there ? offset <= there.start : offset === 0;
      after.disabled = there ? offset + 1 >= there.end : false;
      keyed(commits, readersOf(snapshot, topic, partition), (reader) => `${reader.group}/${reader.committed}`, (reader) => commitChip(reader, offset));
    },
  };
}

async function load(topic, partition, offset) {
  const page = await get(`/api/records?topic=${encodeURIComponent(topic)}&partition=${partition}&offset=${offset}&limit=1`);
  return page.items[0] ?? null;
}

function show(content, record, offset) {
  content.setAttribute('aria-busy', 'false');
  if (!record || record.offset !== offset) {
    const next = record ? ` The next one is at ${num(record.offset)}.` : '';
    content.replaceChildren(h('p', { class: 'quiet', text: `There is no record at this offset: it was deleted, compacted away, or holds only Kafka's own mark of a transaction.${next}` }));
    return;
  }
  const { key, headers, value, value_encoding: encoding, truncated, timestamp } = record;
  content.replaceChildren(
    h('dl', { class: 'facts' }, h('dt', { text: 'Written' }), h('dd', {}, h('time', { text: moment(timestamp) })), h('dt', { text: 'Key' }), h('dd', { 'data-testid': 'record-key' }, ...keyParts(key))),
    h('h3', { text: `Headers (${headers.length})` }),
    headers.length ? h('table', { class: 'headers' }, h('caption', { class: 'sr', text: 'Headers' }), h('tbody', {}, ...headers.map(([name, text]) => h('tr', {}, h('th', { scope: 'row', text: name }), h('td', { text: text ?? '–' }))))) : h('p', { class: 'quiet', text: 'None: an event has at least its ce_ headers.' }),
    h('h3', { text: 'Value' }),
    payload(value, encoding, truncated),
    truncated ? h('p', { class: 'quiet', text: 'The value goes on; only its beginning is shown.' }) : '',
  );
}

function keyParts(key) {
  if (key === null) return [h('span', { class: 'quiet', text: 'none: it could lie in any partition' })];
  const parts = [h('span', { class: `swatch ${keyClass(key)}`, 'aria-hidden': 'true' }), h('code', { text: key })];
  if (ID.test(key)) parts.push(h('button', { type: 'button', class: 'small', 'data-testid': 'follow-order', text: 'Follow this order', on: { click: () => openOrder(key) } }));
  return parts;
}

function payload(value, encoding, truncated) {
  if (value === null) return h('p', { class: 'quiet', text: 'null: a tombstone.' });
  const box = h('pre', { tabindex: '0', role: 'region', 'aria-label': 'Value', 'data-testid': 'record-value' });
  if (encoding === 'base64') box.append(h('span', { class: 'quiet', text: `base64: ${value}` }));
  // The beginning of JSON is none.
  else box.append(...(truncated ? [value] : json(value)));
  return box;
}
