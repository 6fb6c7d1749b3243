// What the drawer shows is in the address, so that Back goes back and a link can be shared: #order/ID, #record/TOPIC/PARTITION/OFFSET.

/** The address of an order. */
export const orderHash = (id) => `#order/${encodeURIComponent(id)}`;

/** The address of a record. */
export const recordHash = (topic, partition, offset) => `#record/${encodeURIComponent(topic)}/${partition}/${offset}`;

/** Follows an order. */
export function openOrder(id) {
  location.hash = orderHash(id);
}

/** Opens a record. */
export function openRecord(topic, partition, offset) {
  location.hash = recordHash(topic, partition, offset);
}

/** What the address asks for: `{order}`, `{topic, partition, offset}` or null. */
export function asked() {
  const [what, ...rest] = location.hash.slice(1).split('/').map(decoded);
  if (what === 'order' && rest[0]) return { order: rest[0] };
  const [topic, partition, offset] = rest;
  const whole = (text) => /^\d{1,16}$/.test(text ?? '');
  if (what === 'record' && topic && whole(partition) && whole(offset)) return { topic, partition: Number(partition), offset: Number(offset) };
  return null;
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return '';
  }
}
