// How figures, times, names and colours are written, the same everywhere.

/** 1234567 as 1,234,567; an en dash where there is no figure. */
export function num(value) {
  if (value === null || value === undefined) return '–';
  return String(Math.round(value)).replace(/\B(?=(\d{3})+(?!\d))/g, ',');
}

/** A figure in at most five characters: 12, 9,999, 12.3k, 4.5M. */
export function compact(value) {
  if (value === null || value === undefined) return '–';
  if (value < 10_000) return num(value);
  if (value < 999_500) return `${(value / 1000).toFixed(value < 99_950 ? 1 : 0)}k`;
  return `${(value / 1_000_000).toFixed(1)}M`;
}

/** Records a second, one decimal below ten. */
export function rate(value) {
  if (!value || value < 0.05) return '0';
  return value < 9.95 ? value.toFixed(1) : num(value);
}

/** Money with two decimals. */
export const money = (value) => (typeof value === 'number' ? value.toFixed(2).replace(/\B(?=(\d{3})+(?!\d))/g, ',') : '–');

const two = (value) => String(value).padStart(2, '0');

const day = (date) => `${two(date.getMonth() + 1)}-${two(date.getDate())}`;

function timeOf(date, millis) {
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return millis ? `${time}.${String(date.getMilliseconds()).padStart(3, '0')}` : time;
}

/** The time of day, with month and day before it where that is not today; with `millis`, to the millisecond. */
export function clock(ms, millis = false) {
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) return '–';
  const time = timeOf(date, millis);
  return date.toDateString() === new Date().toDateString() ? time : `${day(date)} ${time}`;
}

/** A moment in full: date, time to the millisecond, and how far this zone is from UTC. */
export function moment(ms) {
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) return '–';
  const east = -date.getTimezoneOffset();
  const zone = `${east < 0 ? '−' : '+'}${two(Math.floor(Math.abs(east) / 60))}:${two(Math.abs(east) % 60)}`;
  return `${date.getFullYear()}-${day(date)} ${timeOf(date, true)} ${east ? `UTC${zone}` : 'UTC'}`;
}

/** How long ago, roughly: now, 8 s, 3 min, 2 h, 5 d. */
export function ago(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 1) return 'now';
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** A span of time: 12 ms, 1.2 s, 3 min. */
export function span(ms) {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return ago(ms);
}

/** The last eight characters: a UUID of version 7 begins with the time, so its end tells orders apart. */
export const short = (id) => (id ? id.slice(-8) : '');

/** payment for payment-service. */
export const brief = (service) => service.replace(/-service$/, '');

/** What a server says in lower case, as a sentence. */
export const sentence = (said) => (said ? said[0].toUpperCase() + said.slice(1) : '');

/** One or several: 1 member, 3 members. */
export const count = (value, noun) => `${num(value)} ${noun}${value === 1 ? '' : 's'}`;

/** The class that gives a key its colour: the same key, the same colour. Keys are compared by their last eight characters. */
export function keyClass(key) {
  if (key === null || key === undefined) return 'k-none';
  const end = key.slice(-8);
  let hash = 2166136261;
  for (let i = 0; i < end.length; i++) hash = Math.imul(hash ^ end.charCodeAt(i), 16777619);
  return `k${(hash >>> 0) % 12}`;
}

const GROUPS = ['order-service', 'payment-service', 'inventory-service', 'shipment-service', 'notification-service'];

/** The class that gives a service, and the group of the same name, its colour. */
export function groupClass(group) {
  const index = GROUPS.indexOf(group);
  return index < 0 ? 'g-other' : `g${index}`;
}

/** Services in the order in which an order passes them, then the others by name. */
export function inOrder(services) {
  const rank = (name) => (GROUPS.indexOf(name) + GROUPS.length + 1) % (GROUPS.length + 1);
  return [...services].sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
}

const members = new Map();

/** A member's sign: a number and a class for its colour, the same wherever it is shown. */
export function memberSign(group, name) {
  const number = /-(\d{1,3})$/.exec(name)?.[1];
  if (number && name.startsWith(group)) return { sign: number, colour: `m${(Number(number) + 7) % 8}` };
  const key = `${group}\n${name}`;
  if (!members.has(key)) {
    // Members without a name of their own come under a new id each time: what is remembered of them has a bound.
    if (members.size >= 200) members.delete(members.keys().next().value);
    const taken = [...members.keys()].filter((other) => other.startsWith(`${group}\n`)).length;
    members.set(key, { sign: String.fromCharCode(97 + (taken % 26)), colour: `m${taken % 8}` });
  }
  return members.get(key);
}

const UUID = /-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The instance that a member's id or client id tells of: payment-service-1 for payment-1 and what a coordinator put behind it. */
export function instanceName(group, id) {
  const plain = id.replace(UUID, '');
  const number = /-(\d{1,3})$/.exec(plain)?.[0];
  return number && plain === `${brief(group)}${number}` ? `${group}${number}` : plain;
}

/** What a member is called: its instance, or what it says of itself. */
export const memberName = (group, member) => member.instance ?? instanceName(group, member.instance_id || member.client_id || member.member_id);
