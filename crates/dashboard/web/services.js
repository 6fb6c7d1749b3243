// The services' instances and the broker, each with what can be done to it.

import { actionButton, forbid, send } from './actions.js';
import { handsButton } from './byhand.js';
import * as commands from './commands.js';
import { $, attr, h, keyed, text, toggle } from './dom.js';
import { brief, groupClass, inOrder, memberSign, num } from './format.js';
import { announce } from './log.js';

const ACTIONS = ['stop', 'crash', 'start', 'remove'];
const TITLES = { stop: 'Stop', crash: 'Crash', start: 'Start', remove: 'Remove' };
const ELSEWHERE = 'Instances are started and stopped here only where everything runs in one process; by hand, it is a process of its own.';

const instancesKnown = new Map();

/** The state of a service from those of its instances: running if one is. */
export function stateOf(instances) {
  const states = instances.map(({ state }) => state);
  return ['running', 'crashed', 'stopping', 'away', 'stopped'].find((state) => states.includes(state)) ?? 'stopped';
}

/** Makes what does not change: the broker's buttons. */
export function start() {
  const row = $('#broker-actions');
  const what = { stop: 'Stop the broker', start: 'Start the broker', crash: 'Crash the broker', cut: 'Cut connections to the broker' };
  const labels = { stop: 'Stop', start: 'Start', crash: 'Crash', cut: 'Cut connections' };
  for (const [action, label] of Object.entries(labels)) {
    const act = () => send(what[action], `/api/broker/${action}`, {}, { commands: commands.broker(action) });
    row.append(actionButton(label, { class: action === 'crash' ? 'danger' : null, 'aria-label': what[action], 'data-broker-action': action }, act, () => commands.broker(action)));
  }
  row.append(handsButton('the broker'));
}

/** Shows a snapshot. */
export function render(snapshot) {
  const services = inOrder(snapshot.services.map(({ service }) => service)).map((name) => snapshot.services.find(({ service }) => service === name));
  attr($('#services'), 'data-count', services.length);
  keyed($('#services'), services, ({ service }) => service, makeService, (card, service) => changeService(card, service, snapshot));
  for (const button of $('#broker-actions').querySelectorAll('[data-broker-action]')) forbid(button, brokerReason(button.dataset.brokerAction, snapshot));
  tellChanges(snapshot);
}

function brokerReason(action, { kafka, can }) {
  if (!can.broker) return kafka.embedded ? 'The broker belongs to another process.' : 'This Kafka is a real one, and not for a dashboard to stop.';
  const running = kafka.running ?? kafka.state === 'up';
  if (action === 'start') return running ? 'The broker runs.' : null;
  return running ? null : 'The broker does not run.';
}

function makeService({ service }) {
  const add = actionButton('+ Add', { class: 'small add', 'aria-label': `Add an instance of ${service}`, 'data-action': 'add' }, () => send(`Add an instance of ${service}`, `/api/services/${service}/instances`, {}, { commands: commands.adding(service) }), () => commands.adding(service));
  return h(
    'article',
    { class: `service ${groupClass(service)}`, 'data-service': service, 'data-hands': '', 'aria-label': service },
    h('header', {}, h('h3', { text: brief(service) }), h('span', { class: 'count' }), add, handsButton(service)),
    h('ul', { class: 'instances' }),
  );
}

function changeService(card, { service, instances }, { can }) {
  const running = instances.filter(({ state }) => state === 'running').length;
  attr(card, 'data-state', stateOf(instances));
  text($('.count', card), `${running} of ${num(instances.length)} up`);
  forbid($('[data-action="add"]', card), can.instances ? null : ELSEWHERE);
  const list = $('.instances', card);
  const held = list.contains(document.activeElement);
  keyed(list, instances, ({ instance }) => instance, (one) => makeInstance(service, one), (row, one) => changeInstance(row, one, can));
  // Whoever removed an instance by its button goes on at the service.
  if (held && !list.contains(document.activeElement)) $('[data-action="add"]', card).focus({ preventScroll: true });
}

function makeInstance(service, { instance, url }) {
  const { sign, colour } = memberSign(service, instance);
  const buttons = ACTIONS.map((action) =>
    actionButton(
      TITLES[action],
      { class: `small${action === 'crash' ? ' danger' : ''}`, 'aria-label': `${TITLES[action]} ${instance}`, 'data-action': action },
      () => send(`${TITLES[action]} ${instance}`, `/api/instances/${instance}/${action}`, {}, { commands: commands.instance(service, instance, action) }),
      () => commands.instance(service, instance, action),
    ),
  );
  return h(
    'li',
    { 'data-instance': instance },
    h('span', { class: `member ${colour}`, 'aria-hidden': 'true', text: sign }),
    h('span', { class: 'who' }, h('b', { text: instance.replace(`${service}-`, `${brief(service)}-`), title: `${instance} at ${url}` }), h('span', { class: 'state' })),
    h('span', { class: 'segments', role: 'group', 'aria-label': instance }, ...buttons),
  );
}

function changeInstance(row, { state, health, url }, can) {
  attr(row, 'data-state', state);
  const down = Object.entries(health?.checks ?? {}).filter(([, check]) => check?.status === 'down').map(([name]) => (name === 'kafka' ? 'Kafka' : name));
  const lacks = down.length ? `no ${down.join(', no ')}` : health?.status === 'down' ? 'not well' : null;
  const label = $('.state', row);
  text(label, state === 'running' && lacks ? lacks : state);
  attr(label, 'title', state === 'running' && lacks ? `It runs at ${url}: ${lacks}` : url);
  toggle(label, 'lacks', state === 'running' && lacks !== null);
  for (const button of row.querySelectorAll('[data-action]')) forbid(button, reason(button.dataset.action, state, can));
}

function reason(action, state, can) {
  if (!can.instances) return ELSEWHERE;
  if (state === 'stopping') return 'It is stopping: it finishes what it has begun.';
  const runs = state === 'running' || state === 'away';
  if (action === 'start') return runs ? 'It runs.' : null;
  if (action === 'remove') return null;
  return runs ? null : `It is ${state} already.`;
}

// Who cannot see the picture hears what died and what came back.
function tellChanges({ services }) {
  const there = new Set();
  for (const { instances } of services) {
    for (const { instance, state } of instances) {
      there.add(instance);
      const before = instancesKnown.get(instance);
      if (before && before !== state) announce(`${instance} is ${state}`);
      instancesKnown.set(instance, state);
    }
  }
  for (const instance of instancesKnown.keys()) if (!there.has(instance)) instancesKnown.delete(instance);
}
