// JSON, indented as it was written, its strings, numbers and names in colours; text that is none as it is.

import { h } from './dom.js';

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;
// More than this is shown in one colour: each token is an element.
const MOST_COLOURED = 20_000;
const DEEPEST = 40;

/** The nodes that show a text. */
export function json(text) {
  try {
    JSON.parse(text);
  } catch {
    return [h('span', { class: 'quiet', text: 'Not JSON: ' }), text];
  }
  // Only the space between the tokens is ours: what was parsed and printed again would be another record, 29.9 for 29.90.
  const pieces = indented(text.match(TOKEN) ?? []);
  if (text.length > MOST_COLOURED) return [pieces.map(({ space, token }) => space + token).join('')];
  return pieces.flatMap(({ space, token, name }) => {
    const shown = /^[{}[\],:]/.test(token) ? token : h('span', { class: `j-${name ? 'name' : kindOf(token)}`, text: token });
    return space ? [space, shown] : [shown];
  });
}

const kindOf = (token) => (token[0] === '"' ? 'string' : /^[-\d]/.test(token) ? 'number' : 'word');

// Each token with the space before it, and whether it is a name.
function indented(tokens) {
  let depth = 0;
  return tokens.map((token, index) => {
    const [before, next] = [tokens[index - 1], tokens[index + 1]];
    const closes = token === '}' || token === ']';
    if (closes) depth -= 1;
    const opened = before === '{' || before === '[';
    const breaks = closes ? !opened : opened || before === ',';
    const space = breaks ? `\n${'  '.repeat(Math.min(depth, DEEPEST))}` : before === ':' ? ' ' : '';
    if (token === '{' || token === '[') depth += 1;
    return { space, token, name: next === ':' };
  });
}
