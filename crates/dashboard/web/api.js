// Requests to the dashboard's own server: reading, acting, and the admin token that acting may need.

const TOKEN = 'orderflow.admin-token';
const PATIENCE_MS = 15_000;

/** What a server answered that did not do what it was asked. */
export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** The token of this tab, if somebody gave one. */
export const token = () => sessionStorage.getItem(TOKEN);

/** Keeps the token for this tab; null forgets it. */
export function keepToken(value) {
  if (value) sessionStorage.setItem(TOKEN, value);
  else sessionStorage.removeItem(TOKEN);
}

/** GET; the JSON that is answered. */
export async function get(path) {
  const { body } = await request(path, { method: 'GET' });
  return body;
}

/** POST of an action; `{status, body}`. */
export function post(path, body) {
  const headers = { 'content-type': 'application/json' };
  if (token()) headers.authorization = `Bearer ${token()}`;
  return request(path, { method: 'POST', headers, body: JSON.stringify(body ?? {}) });
}

async function request(path, options) {
  let response;
  try {
    response = await fetch(path, { ...options, cache: 'no-store', signal: AbortSignal.timeout(PATIENCE_MS) });
  } catch (error) {
    throw new Problem(0, error.name === 'TimeoutError' ? `no answer within ${PATIENCE_MS / 1000} s` : 'the dashboard does not answer');
  }
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new Problem(response.status, told(body) ?? `${response.status} ${response.statusText}`.trim());
  return { status: response.status, body };
}

// RFC 9457: what happened, and each field that is to blame.
function told(problem) {
  if (!problem || typeof problem !== 'object') return null;
  const fields = (problem.errors ?? []).map((error) => `${error.field} ${error.detail}`).join('; ');
  return problem.detail ?? (fields || null) ?? problem.title ?? null;
}
