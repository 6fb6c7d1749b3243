// The stream of snapshots: one connection, the latest snapshot, at most one rendering a frame, and how old what is shown is.

const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 10_000;
const FRAME_MS = 4;

const renderers = [];
const listeners = [];
let source = null;
let raw = null;
let scheduled = false;
let wanted = false;
let pass = [];
let pause = FIRST_PAUSE_MS;

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

/** Opens the stream; it opens itself again whenever it breaks. */
export function start() {
  connect();
  setInterval(() => live.state !== 'live' && tell(), 500);
}

function connect() {
  source = new EventSource('/api/stream');
  source.addEventListener('open', () => {
    pause = FIRST_PAUSE_MS;
    become('live');
  });
  source.addEventListener('snapshot', (event) => {
    raw = event.data;
    live.receivedAt = Date.now();
    become('live');
    schedule();
  });
  source.addEventListener('error', () => {
    become(live.snapshot ? 'reconnecting' : 'connecting');
    // The browser tries again by itself, except where it was refused.
    if (source.readyState !== EventSource.CLOSED) return;
    source.close();
    setTimeout(connect, pause);
    pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
  });
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
  }
  if (live.snapshot) pass = [...renderers];
}
