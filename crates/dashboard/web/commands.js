// The equivalent of each button: what one would type in a terminal. Each is a list of {by, command}.

/** The ports that the services have where nothing else is said. */
const PORTS = { order: '8001', payment: '8002', inventory: '8003', shipment: '8004', notification: '8005' };
const JSON_TYPE = "-H 'content-type: application/json'";

// A shell takes it as one word, whatever is in it: the name of a group may be anything.
const word = (text) => (/^[\w.,:@%+=/-]+$/.test(text) ? text : `'${String(text).replaceAll("'", "'\\''")}'`);

/** Which Kafka the tools are told; the address that they look at by themselves need not be said. */
let servers = '';

/** Takes in where Kafka is. */
export function knows(snapshot) {
  const told = snapshot.kafka.bootstrap_servers;
  servers = !told || told === '127.0.0.1:9092' ? '' : ` --bootstrap-servers ${word(told)}`;
  urls = new Map();
  for (const { instances } of snapshot.services) for (const { instance, url } of instances) urls.set(instance, url);
  needsToken = snapshot.can.token;
  together = snapshot.can.instances;
}

let urls = new Map();
let needsToken = false;
/** Whether all of the shop is one process, in which no command but this page's own reaches a part of it. */
let together = false;

/** What a button does, by its own request, and to a part that is a process of its own. */
const toProcess = (request, command) => {
  const alone = { by: 'to a process of its own', command };
  return together ? [request, alone] : [alone, request];
};

/** The request of a button itself, against this dashboard. */
export function curl(path, body = {}) {
  const token = needsToken ? " -H \"authorization: Bearer $ADMIN_TOKEN\"" : '';
  return { by: 'this button', command: `curl -X POST ${word(location.origin + path)} ${JSON_TYPE}${token} -d ${word(JSON.stringify(body))}` };
}

const role = (service) => service.replace(/-service$/, '');
const portOf = (instance) => /:(\d+)/.exec(urls.get(instance) ?? '')?.[1] ?? null;
const urlOf = (service, fallback) => urls.get(`${service}-1`) ?? fallback;

/** Placing an order. */
export const placing = (order) => [
  { by: 'the service', command: `curl -X POST ${urlOf('order-service', 'http://127.0.0.1:8001')}/orders ${JSON_TYPE} -d ${word(JSON.stringify(order))}` },
];

/** Asking an order back. */
export const cancelling = (id) => [{ by: 'the service', command: `curl -X POST ${urlOf('order-service', 'http://127.0.0.1:8001')}/orders/${encodeURIComponent(id)}/cancel` }];

/** A delivery. */
export const restocking = (product, quantity) => [
  { by: 'the service', command: `curl -X POST ${urlOf('inventory-service', 'http://127.0.0.1:8003')}/inventory/${encodeURIComponent(product)}/restock ${JSON_TYPE} -d '{"quantity":${quantity}}'` },
];

/** A stream of orders. What the tool has begun ends with it, and what the button has begun with the button. */
export const loading = (rate) => [
  ...(rate > 0 ? [{ by: 'the tool', command: `orderflow load --rate ${rate} --orders ${rate * 60} --restock` }] : []),
  curl('/api/load', { rate }),
];

/** A record that is no event. */
export const poisoning = (topic) => [
  { by: 'kcat', command: `echo x | kcat -P -b ${servers.split(' ').pop() || '127.0.0.1:9092'} -t ${topic}` },
  curl('/api/poison', { topic }),
];

/** Sending dead letters back. */
export const redriving = (topic, before) => [
  { by: 'the tool', command: `orderflow dlq redrive ${topic}${before === undefined ? '' : ` --before ${before}`}${servers}` },
];

/** Deleting dead letters. */
export const dropping = (topic) => [{ by: 'the tool', command: `orderflow dlq drop ${topic} --all${servers}` }];

/** Looking at a dead letter. */
export const showing = (topic, offset) => [{ by: 'the tool', command: `orderflow dlq show ${topic} ${offset}${servers}` }];

/** Setting a group's offsets. */
export function resetting(group, body) {
  const to = typeof body.to === 'string' ? body.to : 'offset' in body.to ? body.to.offset : new Date(body.to.timestamp).toISOString();
  const topic = body.topic ? ` --topic ${body.topic}` : '';
  const partition = body.partition === undefined ? '' : ` --partition ${body.partition}`;
  return [
    { by: 'the tool', command: `orderflow reset-offsets --group ${word(group)} --to ${to}${topic}${partition}${servers}` },
    curl(`/api/groups/${encodeURIComponent(group)}/reset`, body),
  ];
}

/** What is done with a service's instance. */
export function instance(service, name, action) {
  const port = portOf(name);
  const usual = !port || port === PORTS[role(service)];
  const start = `orderflow serve ${role(service)}${usual ? '' : ` --http-port ${port}`}`;
  // To its very end, so that no other instance goes with it.
  const process = usual ? `${start}( --embedded-store)?$` : `serve ${role(service)} .*--http-port ${port}( |$)`;
  const alone = {
    stop: 'press Ctrl-C in its terminal, or kill -TERM PID',
    crash: `kill -9 $(pgrep -f '${process}')`,
    start: `${start}   # with MONGODB_URI set`,
    remove: 'press Ctrl-C in its terminal, and do not start it again',
  }[action];
  return toProcess(curl(`/api/instances/${name}/${action}`), alone);
}

/** Having a group's member leave a partition alone, or go on with it; `member` is its instance, where one is known. */
export function pausing(group, member, topic, partition, action) {
  const path = `/partitions/${encodeURIComponent(topic)}/${partition}/${action}`;
  const service = urls.get(member);
  return [
    ...(service ? [{ by: 'the service', command: `curl -X POST ${word(service + path)}` }] : []),
    curl(`/api/groups/${encodeURIComponent(group)}${path}`),
  ];
}

/** One more instance of a service. */
export function adding(service) {
  const ports = [...urls].filter(([name]) => name.startsWith(service)).map(([name]) => Number(portOf(name)));
  const port = Math.max(8000, ...ports) + 10;
  return toProcess(curl(`/api/services/${service}/instances`), `orderflow serve ${role(service)} --http-port ${port}   # with MONGODB_URI set`);
}

/** What is done with the embedded broker. */
export function broker(action) {
  const alone = {
    stop: 'press Ctrl-C in the terminal of `orderflow broker`',
    start: 'orderflow broker --listen 127.0.0.1:9092',
    crash: "kill -9 $(pgrep -f 'orderflow broker( |$)')",
    cut: 'ss -K dport = :9092   # as root, on Linux',
  }[action];
  // A broker that is started by hand in place of the shop's own has a log of its own: the same address, and another cluster.
  return together ? [curl(`/api/broker/${action}`)] : toProcess(curl(`/api/broker/${action}`), alone);
}

/** A record, read by other means. */
export const reading = (topic, partition, offset) => [
  { by: 'kcat', command: `kcat -C -b ${servers.split(' ').pop() || '127.0.0.1:9092'} -t ${topic} -p ${partition} -o ${offset} -c 1 -J` },
  { by: 'this page', command: `curl '${location.origin}/api/records?topic=${encodeURIComponent(topic)}&partition=${partition}&offset=${offset}&limit=1'` },
];
