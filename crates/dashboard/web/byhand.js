// "By hand": each button tells what one would type instead of it. On hover and focus as a tooltip, and in a popover with Copy.

import { $, h } from './dom.js';

const HOVER_MS = 450;

const hands = new WeakMap();
let tip = null;
let pop = null;
let opener = null;
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
  });
  document.addEventListener('focusout', hide);
  document.addEventListener('scroll', hide, { passive: true, capture: true });
  document.addEventListener('keydown', keys);
  document.addEventListener('pointerdown', (event) => {
    hide();
    if (!pop.hidden && !pop.contains(event.target) && !opener?.contains(event.target)) close(false);
  });
}

function keys(event) {
  if (event.key === 'Escape') {
    hide();
    if (!pop.hidden) {
      event.stopPropagation();
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
  const controls = [...button.closest('[data-hands]').querySelectorAll('[data-hand]')];
  pop.replaceChildren(
    h('h3', { text: 'By hand' }),
    ...controls.map((control) =>
      h('section', {}, h('h4', { text: control.getAttribute('aria-label') ?? control.textContent }), ...hands.get(control)().map(commandLine)),
    ),
  );
  pop.hidden = false;
  place(pop, button);
  $('button', pop)?.focus();
}

function close(back) {
  pop.hidden = true;
  opener?.setAttribute('aria-expanded', 'false');
  if (back) opener?.focus();
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

function place(box, anchor) {
  const at = anchor.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = box;
  const left = Math.max(8, Math.min(at.left, innerWidth - width - 8));
  const below = at.bottom + 6;
  const top = below + height <= innerHeight - 8 ? below : Math.max(8, at.top - height - 6);
  box.style.setProperty('left', `${left}px`);
  box.style.setProperty('top', `${top}px`);
}
