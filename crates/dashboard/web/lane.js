// One partition as a lane: the last records as cells on a tape that ends at the partition's end, and below it a bar for each group that
// reads it: what it has committed, what it has read beyond that up to its position, what it has not read.

import { attended, attr, calm, h, keyed, style, text, toggle } from './dom.js';
import { brief, clock, compact, groupClass, keyClass, num } from './format.js';
import { openRecord } from './routes.js';

const MOST_SLOTS = 24;
const FEWEST_SLOTS = 7;
// On a phone a cell is as wide as a finger needs it, and what is beside a track takes so much.
const FINGER_PX = 24;
const BESIDE_PX = 148;

/** How many records a lane shows: fewer where it is narrow. */
const SLOTS = matchMedia('(max-width: 640px)').matches ? Math.max(FEWEST_SLOTS, Math.min(MOST_SLOTS, Math.floor((innerWidth - BESIDE_PX) / FINGER_PX))) : MOST_SLOTS;
// Fewer cells than this part of a lane have no room for two labels above them.
const TWO_LABELS = 0.4;
const GLIDE_MS = 380;
const FURTHEST_GLIDE = 8;

const held = new WeakMap();

/** A lane, with nothing in it yet. */
export function makeLane(topic, partition) {
  const cells = Array.from({ length: SLOTS }, () => h('button', { type: 'button', class: 'cell future', tabindex: '-1', disabled: true }));
  const tape = h('div', { class: 'tape' }, ...cells);
  const lane = h(
    'div',
    { class: 'lane', role: 'group', 'data-topic': topic, 'data-partition': partition, 'aria-label': `${topic}, partition ${partition}` },
    h('div', { class: 'offsets' }, h('span', { class: 'partition', text: `P${partition}` }), h('span', { class: 'from' }), h('span', { class: 'note' }), h('span', { class: 'end' })),
    h('div', { class: 'track' }, tape),
    h('div', { class: 'readers' }),
  );
  tape.addEventListener('click', ({ target }) => target.dataset.offset && openRecord(topic, partition, target.dataset.offset));
  tape.addEventListener('keydown', (event) => move(event, cells));
  tape.addEventListener('pointerover', ({ target }) => target.matches('.cell') && (target.title = target.getAttribute('aria-label') ?? ''));
  return lane;
}

/** Shows a partition; `readers` are the offsets of the groups that read it. `glide` lets new records slide in. */
export function changeLane(lane, { start, end, leader, tail }, readers, glide) {
  const [offsets, track, rows] = lane.children;
  const window = windowOf(lane, { start, end, tail });
  const [, from, note, last] = offsets.children;
  const written = Math.max(0, Math.min(SLOTS, end - window.from));
  from.hidden = written > 0 && written < SLOTS * TWO_LABELS;
  last.hidden = written === 0;
  text(from, num(window.from));
  text(last, num(window.from + written));
  style(offsets, '--end', (written / SLOTS).toFixed(4));
  const more = end - window.from - SLOTS;
  text(note, window.held ? (more > 0 ? `held · ${compact(more)} newer` : 'held') : leader === null || leader < 0 ? 'no leader' : end === start ? 'empty' : '');
  toggle(lane, 'held', window.held);
  const least = readers.length ? Math.min(...readers.map(({ committed }) => committed ?? start)) : end;
  const tape = track.firstChild;
  const cells = tape.children;
  for (let index = 0; index < SLOTS; index++) changeCell(cells[index], window, index, least, end);
  if (!tape.contains(document.activeElement)) stopAt(cells, cells[written - 1]);
  if (glide && !window.held) slide(lane, tape, window.from);
  else lane.glidedTo = window.from;
  keyed(rows, readers, ({ group }) => group, makeReader, (row, reader) => changeReader(row, reader, window.from, end));
}

// The offsets that are shown. While somebody looks closely, the lane holds still: a record must not run away from under the pointer.
function windowOf(lane, { start, end, tail }) {
  const hold = attended(lane.children[1]);
  let window = held.get(lane);
  if (!hold || !window || window.from + SLOTS < start || window.from > end) {
    window = { from: Math.max(start, end - SLOTS), records: tail.records, tailFrom: tail.from };
    held.set(lane, window);
  } else if (tail.from <= window.from) {
    // Nothing that is shown has left the tail: take it anew, for what came since.
    window.records = tail.records;
    window.tailFrom = tail.from;
  }
  return { ...window, held: hold && end - window.from > SLOTS };
}

function changeCell(cell, { from, records, tailFrom }, index, least, end) {
  const offset = from + index;
  const record = records[offset - tailFrom];
  if (offset >= end) {
    attr(cell, 'class', 'cell future');
    attr(cell, 'data-offset', null);
    attr(cell, 'aria-label', `offset ${offset}: not written yet`);
    attr(cell, 'disabled', true);
    return;
  }
  attr(cell, 'disabled', null);
  const done = offset < least;
  attr(cell, 'data-offset', offset);
  if (!record) {
    attr(cell, 'class', `cell gone${done ? ' done' : ''}`);
    attr(cell, 'aria-label', `offset ${offset}: no record is shown`);
    return;
  }
  const [key, type, at] = record;
  attr(cell, 'class', `cell ${keyClass(key)}${done ? ' done' : ''}${type === null ? ' odd' : ''}`);
  attr(cell, 'aria-label', `offset ${offset}, key ${key ? `…${key}` : 'none'}, ${type ?? 'no event'}, ${clock(at)}, ${done ? 'committed by all' : 'not committed by all'}`);
}

function slide(lane, tape, from) {
  const by = from - (lane.glidedTo ?? from);
  lane.glidedTo = from;
  if (by <= 0 || by > FURTHEST_GLIDE || calm()) return;
  tape.animate([{ transform: `translateX(${((by * 100) / SLOTS).toFixed(2)}%)` }, { transform: 'none' }], { duration: GLIDE_MS, easing: 'cubic-bezier(.2,.7,.3,1)' });
}

function makeReader({ group }) {
  return h('div', { class: `reader ${groupClass(group)}`, 'data-reader': group }, h('span', { class: 'who', text: brief(group), title: group }), h('div', { class: 'bar' }, h('i', { class: 'in-hand' }), h('i', { class: 'committed' }), h('i', { class: 'position' })), h('span', { class: 'lag' }));
}

function changeReader(row, { committed, position, lag, paused }, from, end) {
  const [, bar, behind] = row.children;
  const at = (offset) => `${((Math.max(0, Math.min(SLOTS, offset - from)) * 100) / SLOTS).toFixed(2)}%`;
  const done = at(committed ?? 0);
  const read = at(Math.max(position ?? committed ?? 0, committed ?? 0));
  style(bar, '--done', done);
  style(bar, '--read', read);
  style(bar, '--end', at(end));
  toggle(bar, 'unread', position === null && committed === null);
  attr(bar, 'title', `committed ${num(committed)}, position ${num(position)}, end ${num(end)}, lag ${num(lag)}${paused ? ', paused' : ''}`);
  text(behind, paused ? 'paused' : lag === null || lag === undefined ? '–' : compact(lag));
  toggle(row, 'behind', lag > 0);
  toggle(row, 'paused', paused);
}

// One stop for Tab a lane; the arrows go from record to record.
function move(event, cells) {
  const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -SLOTS, End: SLOTS };
  const step = steps[event.key];
  if (!step) return;
  event.preventDefault();
  const there = cells.filter((cell) => cell.dataset.offset !== undefined);
  const at = there.indexOf(document.activeElement);
  const next = there[Math.max(0, Math.min(there.length - 1, at + step))];
  if (!next) return;
  stopAt(cells, next);
  next.focus();
}

// The one cell that Tab comes to; none where nothing is written.
function stopAt(cells, stop) {
  for (const cell of cells) attr(cell, 'tabindex', cell === stop ? '0' : '-1');
}
