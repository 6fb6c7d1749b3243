// Dots that move along a lane as fast as records are read: up to twelve a second a dot is a record, above that they grow.

import { attr, calm, style } from './dom.js';

const GAP = 22;
const FASTEST = 12;
const SMALLEST = 1.6;
const BIGGEST = 3.4;

const running = new WeakMap();

/** Lets the dots of `node` run at so many a second, to the right or to the left; none are shown where nothing is read. */
export function flow(node, perSecond, right) {
  attr(node, 'class', perSecond ? null : 'still');
  style(node, '--dot', `${Math.min(BIGGEST, SMALLEST + Math.log10(1 + perSecond) * 0.6).toFixed(1)}px`);
  let known = running.get(node);
  if (known && known.right !== right) {
    known.animation.cancel();
    known = null;
  }
  if (calm()) {
    known?.animation.cancel();
    running.delete(node);
    return;
  }
  if (!known) {
    const way = [{ transform: 'none' }, { transform: `translateX(${right ? GAP : -GAP}px)` }];
    known = { right, animation: node.animate(way, { duration: 1000, iterations: Infinity }), speed: 1 };
    running.set(node, known);
  }
  if (!perSecond) {
    known.animation.pause();
    return;
  }
  const speed = Math.min(FASTEST, perSecond);
  if (Math.abs(known.speed - speed) > 0.2) known.animation.updatePlaybackRate((known.speed = speed));
  if (known.animation.playState !== 'running') known.animation.play();
}
