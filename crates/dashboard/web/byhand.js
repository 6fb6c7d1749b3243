// "By hand": each button tells what one would type instead of it. On hover and focus as a tooltip, and in a popover with Copy.

import { $, h } from './dom.js';

const HOVER_MS = 450;
const GAP = 6;
const EDGE = 8;
// Less height than this shows too little of a list of commands.
const LEAST_HEIGHT = 220;
const MOST_HEIGHT = 440;

const hands = new WeakMap();
let tip = null;
let pop = null;
let opener = null;
let openedAt = null;
let timer = 0;

/** Gives a control its commands: `commands()` is a list of {by, command}, asked for when they are shown. */
export function hand(node, commands) {
  hands.set(node, commands);
  node.setAttribute('data-hand', '');
  return node;
}

/** A button that shows the commands of all controls of its closest `[data-hands]`. */
export function handsButton(of) {
  return h('button', { type: 'button', class: 'ghost icon', 'aria-label': `By hand: commands for ${of}`, title: 'By hand', 'aria-haspopup': 'dialog', 'aria-expanded': 'false', 'data-testid': 'by-hand', on: { click: (event) => open(event.currentTarget) } }, '›_');
}

/** Starts listening; once. */
export function startByHand() {
  tip = h('div', { id: 'tip', role: 'tooltip', hidden: true });
  pop = h('div', { id: 'by-hand', class: 'popover', role: 'dialog', 'aria-label': 'By hand', tabindex: '-1', hidden: true });
  document.body.append(tip, pop);
  document.addEventListener('pointerover', (event) => {
    if (event.pointerType === 'touch') return;
    later(event.target.closest?.('[data-hand], [data-reason]'));
  });
  document.addEventListener('focusin', (event) => {
    const node = event.target.closest('[data-hand], [data-reason]');
    if (node?.matches(':focus-visible')) show(node);
    else hide();
    if (!pop.hidden && !belongs(event.target)) close(false);
  });
  document.addEventListener('focusout', hide);
  document.addEventListener('scroll', scrolled, { passive: true, capture: true });
  // What is typed beside it is in the commands.
  for (const change of ['input', 'change']) document.addEventListener(change, (event) => !pop.hidden && belongs(event.target) && fill());
  document.addEventListener('keydown', keys);
  document.addEventListener('pointerdown', (event) => {
    hide();
    if (!pop.hidden && !belongs(event.target)) close(false);
  });
}

// To the popover belong also the controls whose commands it shows.
const belongs = (node) => pop.contains(node) || Boolean(opener?.closest('[data-hands]')?.contains(node));

function scrolled(event) {
  hide();
  if (pop.hidden || pop.contains(event.target)) return;
  // What it belongs to went away from under it; the keyboard goes back to where it came from.
  const { left, top } = opener.getBoundingClientRect();
  if (Math.hypot(left - openedAt.left, top - openedAt.top) > GAP) close(pop.contains(document.activeElement));
}

function keys(event) {
  if (event.key === 'Escape') {
    hide();
    if (!pop.hidden) {
      // One Escape closes one thing.
      event.stopImmediatePropagation();
      close(true);
    }
  }
  const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
  if (event.key === 'c' && plain && event.target.matches?.('button[data-hand]')) copy(hands.get(event.target)()[0].command, tip);
}

function later(node) {
  clearTimeout(timer);
  if (!node) return hide();
  timer = setTimeout(() => show(node), HOVER_MS);
}

function show(node) {
  clearTimeout(timer);
  const reason = node.getAttribute('data-reason');
  const commands = hands.get(node)?.() ?? [];
  if (!reason && !commands.length) return;
  tip.replaceChildren(
    ...(reason ? [h('p', { class: 'why', text: reason })] : []),
    ...commands.slice(0, 1).map(({ command }) => h('code', { text: command })),
    ...(commands.length ? [h('small', { text: node.matches('button:focus') ? 'by hand · press c to copy' : 'by hand' })] : []),
  );
  tip.hidden = false;
  place(tip, node);
}

function hide() {
  clearTimeout(timer);
  if (tip) tip.hidden = true;
}

function open(button) {
  if (!pop.hidden && opener === button) return close(true);
  hide();
  opener?.setAttribute('aria-expanded', 'false');
  opener = button;
  button.setAttribute('aria-expanded', 'true');
  pop.hidden = false;
  fill();
  beside(button);
  pop.scrollTop = 0;
  $('button', pop)?.focus({ preventScroll: true });
}

function fill() {
  const controls = [...opener.closest('[data-hands]').querySelectorAll('[data-hand]')];
  pop.replaceChildren(
    h('h3', { text: 'By hand' }),
    ...controls.map((control) =>
      h('section', {}, h('h4', { text: control.getAttribute('aria-label') ?? control.textContent }), ...hands.get(control)().map(commandLine)),
    ),
  );
}

function close(back) {
  pop.hidden = true;
  opener?.setAttribute('aria-expanded', 'false');
  if (back) opener?.focus({ preventScroll: true });
  opener = null;
}

/** A command as a line with a button that copies it. */
export function commandLine({ by, command }) {
  const button = h('button', { type: 'button', class: 'ghost small', 'aria-label': `Copy: ${command}`, text: 'Copy' });
  button.addEventListener('click', () => copy(command, button));
  return h('div', { class: 'command' }, h('span', { class: 'by', text: by }), h('code', { tabindex: '0', text: command }), button);
}

async function copy(command, node) {
  let said = 'Copied';
  try {
    await navigator.clipboard.writeText(command);
  } catch {
    said = 'Not allowed';
  }
  if (node === tip) {
    const small = $('small', tip);
    if (small) small.textContent = said;
    return;
  }
  node.textContent = said;
  setTimeout(() => (node.textContent = 'Copy'), 1500);
}

// Beside the column, or above the controls, that it tells of, so that they and what lies below stay in sight; over them only where there
// is no room.
function beside(button) {
  const area = button.closest('[data-hands]').getBoundingClientRect();
  const column = button.closest('#drawer, .side')?.getBoundingClientRect();
  const at = (openedAt = button.getBoundingClientRect());
  const width = pop.offsetWidth;
  const left = Math.max(EDGE, Math.min(Math.max(area.left, area.right - width), innerWidth - width - EDGE));
  const top = Math.max(EDGE, Math.min(area.top, innerHeight - MOST_HEIGHT - EDGE));
  const height = Math.min(MOST_HEIGHT, innerHeight - 2 * EDGE);
  const above = Math.min(height, area.top - GAP - EDGE);
  const below = Math.min(height, innerHeight - area.bottom - GAP - EDGE);
  const shown = Math.min(height, pop.scrollHeight + 2);
  const places = [
    { fits: column && column.left - GAP - width >= EDGE, left: (column?.left ?? 0) - GAP - width, top, height },
    { fits: above >= shown, left, bottom: area.top - GAP, height: above },
    { fits: area.left - GAP - width >= EDGE, left: area.left - GAP - width, top, height },
    { fits: area.right + GAP + width <= innerWidth - EDGE, left: area.right + GAP, top, height },
    { fits: above >= LEAST_HEIGHT, left, bottom: area.top - GAP, height: above },
    { fits: below >= LEAST_HEIGHT, left, top: area.bottom + GAP, height: below },
    { fits: true, left, bottom: innerHeight - EDGE, height: innerHeight / 2 },
  ];
  const best = places.find(({ fits }) => fits);
  pop.style.setProperty('max-height', `${Math.floor(best.height)}px`);
  pop.style.setProperty('left', `${best.left}px`);
  pop.style.setProperty('top', best.top === undefined ? 'auto' : `${best.top}px`);
  pop.style.setProperty('bottom', best.top === undefined ? `${innerHeight - best.bottom}px` : 'auto');
}

function place(box, anchor) {
  const at = anchor.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = box;
  const left = Math.max(8, Math.min(at.left, innerWidth - width - 8));
  const below = at.bottom + 6;
  const top = below + height <= innerHeight - 8 ? below : Math.max(8, at.top - height - 6);
  box.style.setProperty('left', `${left}px`);
  box.style.setProperty('top', `${top}px`);
}
