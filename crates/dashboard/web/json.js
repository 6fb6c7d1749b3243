// JSON, pretty-printed, its strings, numbers and names in colours; text that is none as it is.

import { h } from './dom.js';

const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|\b(true|false|null)\b/g;
// More than this is shown in one colour: each token is an element.
const MOST_COLOURED = 20_000;

/** The nodes that show a text. */
export function json(text) {
  let pretty;
  try {
    pretty = JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return [h('span', { class: 'quiet', text: 'Not JSON: ' }), text];
  }
  if (pretty.length > MOST_COLOURED) return [pretty];
  const nodes = [];
  let end = 0;
  for (const match of pretty.matchAll(TOKEN)) {
    if (match.index > end) nodes.push(pretty.slice(end, match.index));
    const [all, string, colon, number] = match;
    if (string && colon) nodes.push(h('span', { class: 'j-name', text: string }), colon);
    else nodes.push(h('span', { class: string ? 'j-string' : number ? 'j-number' : 'j-word', text: all }));
    end = match.index + all.length;
  }
  nodes.push(pretty.slice(end));
  return nodes;
}
