// The stream of snapshots: one connection, the latest snapshot, at most one rendering a frame, and how old what is shown is.

const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 10_000;
const FRAME_MS = 4;
const LOOK_MS = 500;
// A server that ticks says something each second. Ten looks without a word, and it hangs, or what lies in between does.
const MOST_QUIET_LOOKS = 10;
// Rates of a snapshot are over the two seconds before it: of what has not changed since then, nothing is written.
const RATES_OVER_MS = 2500;

const renderers = [];
const listeners = [];
const historians = [];
let source = null;
let raw = null;
let tick = null;
let seenAt = 0;
let ticks = false;
let quiet = 0;
let scheduled = false;
let wanted = false;
let pass = [];
let pause = FIRST_PAUSE_MS;
let retry = 0;

/** What is known: the latest snapshot, when it came (by this clock) and the state of the connection. */
export const live = { snapshot: null, receivedAt: 0, state: 'connecting' };

/** Calls `render(snapshot)` for the latest snapshot, at most once a frame; in the order in which they were named. */
export function onSnapshot(render) {
  renderers.push(render);
}

/** Calls `listener(live)` when the connection's state changes and twice a second while it is down. */
export function onState(listener) {
  listeners.push(listener);
}

/** Calls `take({at, step_ms, lag})` with what was before the stream was opened, where the server tells it. */
export function onHistory(take) {
  historians.push(take);
}

/** Opens the stream; it opens itself again whenever it breaks, or is silent for 5 s where something should come each second. */
export function start() {
  connect();
  setInterval(look, LOOK_MS);
}

function connect() {
  clearTimeout(retry);
  quiet = 0;
  // Another server may be there by now.
  ticks = false;
  source = new EventSource('/api/stream');
  source.addEventListener('snapshot', (event) => {
    raw = event.data;
    tick = null;
    heard();
  });
  source.addEventListener('tick', (event) => {
    ticks = true;
    tick = JSON.parse(event.data).at;
    heard();
  });
  source.addEventListener('history', (event) => {
    ticks = true;
    for (const take of historians) take(JSON.parse(event.data));
    quiet = 0;
  });
  source.addEventListener('error', () => {
    become(live.snapshot ? 'reconnecting' : 'connecting');
    // The browser tries again by itself, except where it was refused.
    if (source.readyState !== EventSource.CLOSED) return;
    retry = setTimeout(connect, pause);
    pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
  });
}

function heard() {
  quiet = 0;
  pause = FIRST_PAUSE_MS;
  live.receivedAt = Date.now();
  become('live');
  schedule();
}

// Looks are counted, not milliseconds: a tab that was put to sleep has not been waiting for the server meanwhile. A server that does not
// tick says nothing while nothing changes.
function look() {
  quiet += 1;
  const waits = source.readyState !== EventSource.CLOSED && (ticks || live.state !== 'live');
  if (waits && quiet > MOST_QUIET_LOOKS) {
    source.close();
    become(live.snapshot ? 'reconnecting' : 'connecting');
    connect();
  }
  if (live.state !== 'live') tell();
}

function become(state) {
  if (live.state === state) return;
  live.state = state;
  tell();
}

function tell() {
  for (const listener of listeners) listener(live);
}

/** Renders the latest snapshot again in the next frame, for what somebody changed on the page. */
export function schedule() {
  wanted = true;
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(render);
}

// A pass goes over all parts of the page with one snapshot, and over several frames where that takes long, so that no frame does.
function render() {
  try {
    if (!pass.length) begin();
    const until = performance.now() + FRAME_MS;
    do pass.shift()?.(live.snapshot);
    while (pass.length && performance.now() < until);
  } finally {
    // A part that fails must not keep the others from going on.
    scheduled = pass.length > 0 || wanted;
    if (scheduled) requestAnimationFrame(render);
  }
}

function begin() {
  wanted = false;
  if (raw !== null) {
    // What came in since the last pass, except the latest, is never looked at.
    const data = raw;
    raw = null;
    live.snapshot = JSON.parse(data);
    seenAt = live.snapshot.at;
  } else if (tick !== null && live.snapshot && tick > live.snapshot.at) {
    live.snapshot = later(live.snapshot, tick);
  }
  tick = null;
  if (live.snapshot) pass = [...renderers];
}

// Nothing has changed but the time.
function later(snapshot, at) {
  const still = at - seenAt > RATES_OVER_MS && snapshot.topics.some(({ rate }) => rate > 0);
  const topics = still ? snapshot.topics.map((topic) => ({ ...topic, rate: 0 })) : snapshot.topics;
  return { ...snapshot, at, topics };
}
