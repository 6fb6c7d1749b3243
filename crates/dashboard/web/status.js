// The line at the top: whether the stream is there, how old what is shown is, how Kafka is, and the figures that matter most.

import { forbid } from './actions.js';
import { $, attr, text, toggle } from './dom.js';
import { ago, clock, compact, rate } from './format.js';
import { announce } from './log.js';
import { kafkaLine } from './pipeline.js';
import { live, onState } from './stream.js';

const SAID = { connecting: 'Connecting …', live: 'Live', reconnecting: 'Reconnecting …' };

let kafka = null;
// When Kafka was seen last, and whether that is known: a page that was opened later knows only when it was not there.
let seen = { at: 0, known: false };

/** Of when what is known of topics and groups is, while Kafka is away; empty while it is up. */
export const lastSeen = () => (kafka === 'away' ? `as last seen ${seen.known ? '' : 'before '}${clock(seen.at)}` : '');

/** Starts to show the connection's state. */
export function start() {
  onState(connection);
  connection();
}

let before = 'connecting';

function connection() {
  const chip = $('#stream');
  attr(chip, 'data-state', live.state);
  const age = live.state !== 'live' && live.receivedAt ? ` data of ${ago(Date.now() - live.receivedAt)} ago` : '';
  text($('#stream-said'), SAID[live.state] + age);
  toggle(document.body, 'stale', live.state === 'reconnecting');
  if (before !== live.state) {
    if (live.state === 'reconnecting') announce('The dashboard does not answer; what is shown is getting old');
    if (live.state === 'live' && before === 'reconnecting') announce('The dashboard answers again');
    // What cannot act says so at once; the first snapshot after it is back allows it again.
    if (live.state === 'reconnecting') for (const button of document.querySelectorAll('button[data-hand]')) forbid(button, null);
    before = live.state;
  }
}

/** Shows a snapshot. */
export function render(snapshot) {
  const { state } = snapshot.kafka;
  attr($('#kafka'), 'data-state', state);
  text($('#kafka-said'), state === 'up' ? 'Kafka up' : 'Kafka away');
  text($('#kafka-line'), kafkaLine(snapshot));
  attr($('#kafka-line'), 'title', snapshot.kafka.error);
  toggle($('#kafka-line'), 'problem', state === 'away');
  toggle(document.body, 'without-kafka', state === 'away');
  if (state === 'up') seen = { at: snapshot.at, known: true };
  else if (!seen.at) seen = { at: snapshot.at, known: false };
  if (kafka && kafka !== state) announce(state === 'up' ? 'Kafka is back' : 'Kafka is away');
  kafka = state;
  const placed = snapshot.topics.find(({ topic }) => topic === 'order_placed')?.rate ?? 0;
  // A shipment is told of twice: that it is worked on, and that it is on its way.
  const shipped = (snapshot.topics.find(({ topic }) => topic === 'shipment_processed')?.rate ?? 0) / 2;
  const lag = snapshot.groups.reduce((sum, group) => sum + (group.lag ?? 0), 0);
  const dead = snapshot.dead_letters.reduce((sum, letters) => sum + letters.count, 0);
  figure('#fig-placed', rate(placed));
  figure('#fig-shipped', rate(shipped));
  figure('#fig-lag', compact(lag), lag > 0 ? 'warn' : '');
  figure('#fig-outbox', compact(snapshot.orders.backlog), snapshot.orders.backlog > 0 ? 'warn' : '');
  figure('#fig-dead', compact(dead), dead > 0 ? 'bad' : '');
}

function figure(selector, value, tone = '') {
  text($(selector), value);
  attr($(selector), 'data-tone', tone);
}
