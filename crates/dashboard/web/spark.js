// The last two minutes of a figure: one sample a second, kept in the browser, drawn as a line. Bounded by its length.

import { attr, s } from './dom.js';
import { compact } from './format.js';

const SAMPLES = 120;
const EVERY_MS = 1000;
const WIDTH = 120;
const HEIGHT = 28;

const series = new Map();

/** Takes in a sample, at most one a second, and forgets what is older than two minutes. */
export function sample(name, at, value) {
  let known = series.get(name);
  if (!known) series.set(name, (known = []));
  // A time that falls is another clock's, or another server's: what was before cannot be drawn beside it.
  if (known.length && at < known.at(-1).at - EVERY_MS) known.length = 0;
  const last = known.at(-1);
  if (last && at - last.at < EVERY_MS) last.value = Math.max(last.value, value);
  else known.push({ at, value });
  while (known.length > SAMPLES || (known.length && at - known[0].at > SAMPLES * EVERY_MS)) known.shift();
}

/** Takes in the samples that were before this page was: `sums` up to `at`, the oldest first, one each `step` milliseconds. */
export function fill(name, at, step, sums) {
  const before = sums.slice(-SAMPLES).map((value, index, { length }) => ({ at: at - (length - 1 - index) * step, value }));
  if (!before.length) return;
  const since = (series.get(name) ?? []).filter((own) => own.at >= at + EVERY_MS);
  series.set(name, [...before, ...since]);
}

/** Forgets the series of names that are no longer there. */
export function forget(names) {
  for (const name of series.keys()) if (!names.has(name)) series.delete(name);
}

/** The element of a line, with nothing drawn yet. */
export function spark() {
  return s('svg', { class: 'spark', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img' }, s('path', { class: 'area' }), s('path', { class: 'line', 'vector-effect': 'non-scaling-stroke' }));
}

/** Draws a series; `at` is now. Returns the most that it had. */
export function drawSpark(node, name, at) {
  const known = series.get(name) ?? [];
  const most = Math.max(1, ...known.map(({ value }) => value));
  const points = known.map(({ at: then, value }) => `${(WIDTH - (at - then) / EVERY_MS).toFixed(1)} ${(HEIGHT - 1.5 - (value / most) * (HEIGHT - 4)).toFixed(1)}`);
  const line = points.length ? `M${points.join('L')}` : '';
  attr(node.firstChild, 'd', line && `${line}V${HEIGHT}H${points[0].split(' ')[0]}Z`);
  attr(node.lastChild, 'd', line);
  const peak = known.length ? Math.max(...known.map(({ value }) => value)) : 0;
  attr(node, 'aria-label', `Lag over the last two minutes, at most ${compact(peak)}`);
  return peak;
}
