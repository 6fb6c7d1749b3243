// Acting: buttons that know why they cannot act, one way to send an action, and the admin token where one is needed.

import { keepToken, post, Problem, token } from './api.js';
import { hand } from './byhand.js';
import { $, attr, h } from './dom.js';
import { note } from './log.js';
import { live } from './stream.js';

const WATCH_ONLY = 'This dashboard only watches: start it with ADMIN_TOKEN set, and it lets those act who know the token.';

/**
 * A button for an action. `act` is called when it is pressed and nothing forbids it; `commands` is what one would type instead. `props`
 * are the element's attributes.
 */
export function actionButton(label, props, act, commands) {
  const button = h('button', { type: 'button', ...props, text: label });
  button.addEventListener('click', () => {
    const reason = button.getAttribute('data-reason');
    if (reason) note({ ok: false, text: `${props?.['aria-label'] ?? label}: ${reason}` });
    else act(button);
  });
  if (commands) hand(button, commands);
  return button;
}

/** Forbids a button for a reason, or allows it again with null. It stays reachable, so that the reason can be read. */
export function forbid(button, reason) {
  const said = reason ?? forbidden();
  attr(button, 'aria-disabled', said ? 'true' : null);
  attr(button, 'data-reason', said);
  attr(button, 'aria-description', said);
}

/** Why nobody can act here; null if somebody can. */
export function forbidden() {
  if (live.state !== 'live') return 'The dashboard does not answer.';
  if (!live.snapshot) return 'Nothing was seen yet.';
  return live.snapshot.can.act ? null : WATCH_ONLY;
}

/**
 * Sends an action and tells what came of it. `title` says what is done ("Crash payment-service-1"), `said(body)` what was done where the
 * answer does not say it; what is told takes the place of what was told `about` the same just before. Returns the answer's body, or null.
 */
export async function send(title, path, body, { commands = [], said, more, about } = {}) {
  if (live.snapshot?.can.token && !token() && !(await ask())) {
    note({ ok: false, text: `${title}: not done without the admin token`, commands, about });
    return null;
  }
  try {
    const answer = await post(path, body);
    const text = said?.(answer.body) ?? answer.body?.done ?? `${title}: done`;
    note({ ok: true, text, commands, more: more?.(answer.body), about });
    return answer.body ?? {};
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (error.status === 401) keepToken(null);
    note({ ok: false, text: `${title}: ${error.message}`, commands, about });
    return null;
  }
}

function ask() {
  const dialog = $('#token');
  const input = $('input', dialog);
  input.value = '';
  dialog.returnValue = '';
  dialog.showModal();
  input.focus();
  return new Promise((resolve) => {
    dialog.addEventListener(
      'close',
      () => {
        const given = dialog.returnValue === 'ok' && input.value.trim();
        input.value = '';
        if (given) keepToken(given);
        resolve(Boolean(given));
      },
      { once: true },
    );
  });
}
