// The consumer groups: how each is, who is in it and holds what, how far it is behind, and each partition's offsets.

import { actionButton, forbid, send } from './actions.js';
import { handsButton } from './byhand.js';
import * as commands from './commands.js';
import { $, attr, h, keyed, text, toggle } from './dom.js';
import { brief, compact, count, groupClass, inOrder, memberName, memberSign, num, sentence } from './format.js';
import { changeReset, makeReset } from './reset.js';
import { drawSpark, fill, forget, sample, spark } from './spark.js';
import { lastSeen } from './status.js';
import { onHistory, schedule } from './stream.js';

const FEW_ROWS = 12;
const MOST_ROWS = 240;

const all = new Set();

/** Starts to listen to what the lag was before. */
export function start() {
  onHistory(({ at, step_ms: step, lag }) => {
    for (const [group, sums] of Object.entries(lag)) fill(group, at, step, sums);
  });
}

/** Shows a snapshot. */
export function render(snapshot) {
  const names = inOrder(snapshot.groups.map(({ group }) => group));
  const groups = names.map((name) => snapshot.groups.find(({ group }) => group === name));
  for (const { group, lag } of groups) sample(group, snapshot.at, lag ?? 0);
  forget(new Set(names));
  keyed($('#group-list'), groups, ({ group }) => group, makeGroup, (node, group) => changeGroup(node, group, snapshot));
  $('#groups-none').hidden = groups.length > 0;
  text($('#groups-seen'), lastSeen());
  text($('#groups-none'), snapshot.kafka.state === 'away' ? 'Kafka is away: nothing is known of its groups.' : 'No groups yet.');
}

function makeGroup({ group }) {
  const more = h('button', { type: 'button', class: 'ghost small more', hidden: true });
  more.addEventListener('click', () => {
    if (all.has(group)) all.delete(group);
    else all.add(group);
    schedule();
  });
  const table = h(
    'table',
    {},
    h('caption', { class: 'sr', text: `Partitions that ${group} reads` }),
    h('thead', {}, h('tr', {}, ...['Partition', 'By', 'Committed', 'Position', 'End', 'Lag'].map((name, index) => h('th', { scope: 'col', class: index > 1 ? 'n' : null, text: name })), h('th', { scope: 'col' }, h('span', { class: 'sr', text: 'Pause' })))),
    h('tbody', {}),
  );
  return h(
    'article',
    { class: `group ${groupClass(group)}`, 'data-group': group, 'data-hands': '', 'aria-label': `Group ${group}` },
    h('header', {}, h('h3', { text: group }), h('span', { class: 'chip state' }), h('span', { class: 'facts' }), handsButton(`group ${group}`)),
    h('div', { class: 'lag-now' }, h('span', { class: 'figure' }, h('b', { class: 'lag' }), h('span', { text: ' behind' }), h('small', { class: 'peak' })), spark()),
    h('ul', { class: 'members' }),
    h('p', { class: 'nobody', hidden: true }),
    h('p', { class: 'note', hidden: true }),
    h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': `Partitions of ${group}` }, table),
    more,
    makeReset(group),
  );
}

function changeGroup(node, group, snapshot) {
  const state = $('.chip.state', node);
  text(state, group.state || 'Unknown');
  attr(state, 'data-state', (group.state || 'unknown').toLowerCase());
  toggle(node, 'waits', !group.members.length && group.lag > 0);
  text($('.facts', node), `generation ${group.generation ?? '–'} · ${group.protocol || 'no assignor'}`);
  text($('.lag', node), num(group.lag));
  toggle($('.lag', node), 'behind', group.lag > 0);
  text($('.peak', node), `at most ${compact(drawSpark($('.spark', node), group.group, snapshot.at))} in 2 min`);
  keyed($('.members', node), group.members.slice(0, 50), ({ member_id: id }) => id, makeMember(group.group), changeMember);
  const nobody = $('.nobody', node);
  nobody.hidden = group.members.length > 0;
  text(nobody, group.members.length ? '' : 'No members. Offsets stay where they were committed; what is written meanwhile is lag.');
  const note = $('.note', node);
  note.hidden = !group.note;
  text(note, sentence(group.note));
  changeRows(node, group, snapshot.kafka.state === 'away');
  changeReset($('.reset', node), group, snapshot);
}

const makeMember = (group) => (member) => {
  const name = memberName(group, member);
  const { sign, colour } = memberSign(group, name);
  return h('li', { 'data-member': name, title: `${member.member_id} at ${member.host}` }, h('span', { class: `member ${colour}`, 'aria-hidden': 'true', text: sign }), h('b', { text: name }), h('span', { class: 'holds' }));
};

function changeMember(node, { partitions, phase }) {
  const phases = phase && phase !== 'stable' ? `${phase} · ` : '';
  text(node.lastChild, `${phases}${count(partitions.length, 'partition')}`);
}

function changeRows(node, { group, members, offsets }, away) {
  const names = new Map(members.map((member) => [member.member_id, memberName(group, member)]));
  const most = all.has(group) ? MOST_ROWS : FEW_ROWS;
  keyed($('tbody', node), offsets.slice(0, most), ({ topic, partition }) => `${topic}/${partition}`, makeRow(group), (row, offset) => changeRow(row, offset, group, names, away));
  const more = $('.more', node);
  more.hidden = offsets.length <= FEW_ROWS;
  text(more, all.has(group) ? (offsets.length > MOST_ROWS ? `Fewer; ${num(offsets.length - MOST_ROWS)} are not shown` : 'Fewer') : `All ${num(offsets.length)} partitions`);
}

const makeRow = (group) => ({ topic, partition }) => {
  let paused = false;
  let reader = null;
  const where = `${topic} ${partition}`;
  const action = () => (paused ? 'resume' : 'pause');
  const path = () => `/api/groups/${encodeURIComponent(group)}/partitions/${encodeURIComponent(topic)}/${partition}/${action()}`;
  const told = () => commands.pausing(group, reader, topic, partition, action());
  const button = actionButton('Pause', { class: 'small', 'data-action': 'pause' }, () => send(`${paused ? 'Resume' : 'Pause'} ${where} for ${group}`, path(), {}, { commands: told() }), told);
  const row = h(
    'tr',
    { 'data-topic': topic, 'data-partition': partition },
    h('th', { scope: 'row' }, h('span', { class: 'of', text: topic }), ` ${partition}`),
    h('td', {}, h('span', { class: 'member' })),
    ...['committed', 'position', 'end', 'lag'].map((name) => h('td', { class: `n ${name}` })),
    h('td', { class: 'act' }, button),
  );
  row.pausing = (now, name) => {
    paused = now;
    reader = name;
    text(button, now ? 'Resume' : 'Pause');
    attr(button, 'data-action', now ? 'resume' : 'pause');
    attr(button, 'aria-label', `${now ? 'Resume' : 'Pause'} ${where} for ${group}`);
  };
  return row;
};

function changeRow(row, offset, group, names, away) {
  const [, by, committed, position, end, lag, act] = row.children;
  const name = names.get(offset.member) ?? null;
  const { sign, colour } = name ? memberSign(group, name) : { sign: '–', colour: 'nobody' };
  attr(by.firstChild, 'class', `member ${colour}`);
  attr(by.firstChild, 'title', name ?? 'nobody');
  attr(by.firstChild, 'aria-label', name ?? 'nobody');
  attr(by.firstChild, 'role', 'img');
  text(by.firstChild, sign);
  text(committed, num(offset.committed));
  text(position, num(offset.position));
  text(end, num(offset.end));
  text(lag, compact(offset.lag));
  toggle(lag, 'behind', offset.lag > 0);
  toggle(row, 'paused', offset.paused);
  row.pausing(offset.paused, name);
  forbid(act.firstChild, away ? 'Kafka is away: nothing is read.' : offset.member === null && !offset.paused ? 'Nobody in the group reads it, so there is nobody to pause.' : null);
}

// The offset that a group has committed in a partition; null if none, undefined if it does not read it.
function committedOf(snapshot, group, topic, partition) {
  const found = snapshot.groups.find((candidate) => candidate.group === group);
  return found?.offsets.find((offset) => offset.topic === topic && offset.partition === partition)?.committed;
}

/** For each group that reads a partition: `{group, committed}`. */
export function readersOf(snapshot, topic, partition) {
  return inOrder(snapshot.groups.map(({ group }) => group))
    .map((group) => ({ group, committed: committedOf(snapshot, group, topic, partition) }))
    .filter(({ committed }) => committed !== undefined);
}

/** A chip that says whether a group has committed beyond an offset. */
export function commitChip({ group, committed }, offset) {
  const done = committed !== null && committed > offset;
  return h('span', { class: `chip commit ${groupClass(group)}${done ? ' done' : ''}`, 'data-group-commit': group }, h('span', { 'aria-hidden': 'true', text: done ? '✓' : '·' }), `${brief(group)} ${done ? `committed ${num(committed)}` : committed === null ? 'has committed nothing' : `is at ${num(committed)}`}`);
}
