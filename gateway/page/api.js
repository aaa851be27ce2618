// The first part of all pages' scripts: elements, requests to the API, and the session's tokens.
// The gateway joins the parts of a page and puts them into its HTML when it starts.
"use strict";

// Tokens are only in this page's memory: after a reload the user logs in again. `session` counts
// log-ins and log-outs, so that nothing that began in one session continues in the next.
let accessToken = null, refreshToken = null, refreshing = null, session = 0;

const $ = id => document.getElementById(id);

function say(id, text, kind = "") {
  $(id).textContent = text;
  $(id).className = "say " + kind;
}

function make(tag, text, kind) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (kind) node.className = kind;
  return node;
}

// A random id. crypto.randomUUID exists only on pages that came encrypted or from this machine.
function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, byte => byte.toString(16).padStart(2, "0")).join("");
}

function duration(seconds) {
  return seconds < 90 ? `${seconds} s` : `${Math.ceil(seconds / 60)} minutes`;
}

function money(minor, currency) {
  try {
    const format = new Intl.NumberFormat(undefined, { style: "currency", currency });
    return format.format(minor / 10 ** format.resolvedOptions().maximumFractionDigits);
  } catch {
    return minor + " " + currency;
  }
}

// A failed request, with a message for the user. `status` is 0 when there was no response;
// `retryAfter` is in seconds.
class Failure extends Error {
  constructor(text, status = 0, retryAfter = 0) {
    super(retryAfter ? `${text} Try again in ${duration(retryAfter)}.` : text);
    Object.assign(this, { status, retryAfter });
  }

  static of(response, data) {
    const { status, statusText, headers } = response;
    const text = data.detail || statusText || `The server answered with status ${status}.`;
    const isTemporary = [429, 503].includes(status);
    return new Failure(text, status, isTemporary ? Number(headers.get("Retry-After")) || 0 : 0);
  }
}

async function send(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure("The server can't be reached.");
  }
}

// How a page reads the values of a response, if not as they are.
let reviver;

// The values of a response. Fails if it was cut off, so that nobody takes it for an answer; of a
// failed request the status is enough.
async function jsonOf(response) {
  try {
    const text = await response.text();
    return text ? JSON.parse(text, reviver) : {};
  } catch {
    if (!response.ok) return {};
    throw new Failure("The server's answer was cut off.");
  }
}

// Asks for the password again, and sets new tokens; a page that needs this sets it. Fails if the
// user does not give the password.
let stepUp = async () => {
  throw new Failure("This needs the password again: log in again.", 401);
};

// Sends a request with the access token, and repeats it once with a new token if that has expired,
// or after the password was given if the request needs that (RFC 9470). It is never repeated in
// another session. The content is a value, or JSON as text.
async function request(method, path, content, more = {}) {
  const headers = { ...more }, used = accessToken, mine = session;
  if (used) headers.Authorization = "Bearer " + used;
  if (content) headers["Content-Type"] = "application/json";
  const body = typeof content === "string" ? content : JSON.stringify(content);
  const response = await send(path, { method, headers, body });
  const data = await jsonOf(response);
  if (data.code === "insufficient_user_authentication") {
    await stepUp();
    if (mine === session) return request(method, path, content, more);
  }
  const isExpired = response.status === 401 && used && !path.startsWith("/v1/sessions");
  if (isExpired && mine === session) {
    if (accessToken === used) await refresh();
    const isNew = accessToken && accessToken !== used;
    if (isNew && mine === session) return request(method, path, content, more);
  }
  if (!response.ok) throw Failure.of(response, data);
  return { status: response.status, data };
}

// Gets new tokens; all callers of a session share one request. Only a refusal ends the session:
// without a response the refresh token is still valid.
function refresh() {
  if (refreshing) return refreshing;
  const own = refreshing = (async mine => {
    if (!refreshToken) {
      await borrow();
      if (mine === session && !accessToken) endSession("Your session has ended.");
      return;
    }
    const headers = { "Content-Type": "application/json" }, sent = refreshToken;
    const body = JSON.stringify({ refresh_token: sent });
    const response = await send("/v1/sessions/refresh", { method: "POST", headers, body });
    const data = await jsonOf(response);
    // A log-in meanwhile has set newer tokens.
    if (mine !== session || refreshToken !== sent) return;
    if (response.ok) setTokens(data);
    else if ([400, 401, 403].includes(response.status)) endSession("Your session has ended.");
    else throw Failure.of(response, data);
  })(session).finally(() => { if (refreshing === own) refreshing = null; });
  return own;
}

function setTokens(tokens) {
  accessToken = tokens.access_token;
  refreshToken = tokens.refresh_token;
}

// A page of this server that this page has opened, such as a trace, may use its session: it asks
// with the token that it has, and gets the current one, with a name of the session. A page of
// another server gets no answer. The session ends on all these pages at once.
const borrowers = new Set(), pageId = randomId();

addEventListener("message", async ({ origin, data, source }) => {
  if (origin !== location.origin || !source) return;
  if (data?.ask === "session") {
    borrowers.add(source);
    if (data.used && data.used === accessToken) await refresh().catch(() => {});
    source.postMessage({ accessToken, lent: `${pageId}/${session}` }, origin);
  }
  const isShared = borrowers.has(source) || source === opener && !refreshToken;
  if (data?.ended && accessToken && isShared) endSession("You have logged out on another page.");
});

// Forgets the session of this page, also on the pages that have borrowed it. Each page does so
// first when its session ends.
function forgetSession() {
  session++;
  accessToken = refreshToken = refreshing = lent = null;
  for (const page of borrowers) page.postMessage({ ended: true }, location.origin);
  borrowers.clear();
}

// Logs out. All pages that share the session forget it at once. If the request does not arrive,
// the session expires.
function logOut() {
  request("DELETE", "/v1/sessions/current").catch(() => {});
  if (accessToken && !refreshToken && opener) opener.postMessage({ ended: true }, location.origin);
  endSession();
}

// Ends a session that nobody needs, on the server. If the request does not arrive, it expires.
function revoke(token) {
  const headers = { Authorization: "Bearer " + token };
  send("/v1/sessions/current", { method: "DELETE", headers }).catch(() => {});
}

// A link to the trace of an order or a command. Its page may use this one's session.
function traceLink(of, id) {
  const link = make("a", "Trace");
  Object.assign(link, { href: `/${of}/${encodeURIComponent(id)}`, target: "_blank" });
  link.rel = "opener";
  return link;
}

// A figure with its unit, with at most so many digits after the point.
function figure(value, unit = "", digits = 0) {
  if (value == null) return "–";
  return value.toLocaleString(undefined, { maximumFractionDigits: digits }) + unit;
}

// The schema of a record: its version, if the registry says it, and its id.
function schemaText({ schema_id: id, schema_version: version }) {
  if (id === undefined) return undefined;
  return version === undefined ? `id ${id}` : `version ${version}, id ${id}`;
}

// How long a page waits for the session of the page that has opened it.
const BORROW_MAX_MS = 2000;
// The session that this page has borrowed.
let lent = null;

// Uses the session of the page that has opened this one, if it has one; but not another one than
// before, which may be another user's.
function borrow() {
  if (!opener || opener.closed) {
    accessToken = null;
    return Promise.resolve();
  }
  return new Promise(resolve => {
    const stop = new AbortController(), { signal } = stop, used = accessToken, mine = session;
    const end = token => {
      if (mine === session) accessToken = token;
      stop.abort();
      resolve();
    };
    addEventListener("message", ({ origin, data }) => {
      if (origin !== location.origin || !data || !("accessToken" in data)) return;
      const isOther = lent !== null && lent !== data.lent;
      if (mine === session && data.accessToken && !isOther) lent = data.lent;
      end(isOther ? null : data.accessToken);
    }, { signal });
    setTimeout(() => signal.aborted || end(null), BORROW_MAX_MS);
    opener.postMessage({ ask: "session", used }, location.origin);
  });
}
