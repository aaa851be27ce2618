// What the live page does. It is put into index.html when the gateway starts. All it knows it has
// from the API.
"use strict";
const $ = id => document.getElementById(id);
const FLOW_MAX = 200, RETRY_MS = 2000, LEAVING_MS = 1000;
// The server says something every 15 s; after so much silence the connection is taken for dead.
const SILENCE_MAX_MS = 45000;
// However much happens, the page asks seldom enough to stay far below the limit of requests.
const ORDERS_EVERY_MS = 20000;
const ENDS = { OrderConfirmed: "confirmed", OrderRejected: "rejected", OrderCancelled: "cancelled" };
const KINDS = { confirmed: "good", rejected: "bad", cancelled: "wait" };
// Tokens live in this page's memory alone: a reload asks for the password again. `session` counts
// log-ins and log-outs, so that what was begun in one can't go on in the next.
let access = null, refresh = null, renewing = null, admin = false, session = 0;
let joining = false, stream = null, last = "", after = "", unsure = null;

function say(id, text, kind = "") { $(id).textContent = text; $(id).className = "say " + kind; }
function make(tag, text, kind) { const node = document.createElement(tag); if (text !== undefined) node.textContent = text; if (kind) node.className = kind; return node; }
function money(minor, currency) {
  try { const format = new Intl.NumberFormat(undefined, { style: "currency", currency }); return format.format(minor / 10 ** format.resolvedOptions().maximumFractionDigits); }
  catch { return minor + " " + currency; }
}
function soonest(seconds) { return seconds < 90 ? `${seconds} s` : `${Math.ceil(seconds / 60)} minutes`; }

// A failure in words. `status` is 0 where there was no answer.
class Failure extends Error {
  constructor(text, status = 0, wait = 0) { super(wait ? `${text} Try again in ${soonest(wait)}.` : text); Object.assign(this, { status, wait }); }
  static of(answer, data) {
    const wait = [429, 503].includes(answer.status) ? Number(answer.headers.get("Retry-After")) || 0 : 0;
    return new Failure(data.detail || answer.statusText || "The server answered " + answer.status + ".", answer.status, wait);
  }
}
async function open(path, how) {
  try { return await fetch(path, how); }
  catch (error) { throw error.name === "AbortError" ? error : new Failure("The server can't be reached."); }
}
async function body(answer) { try { return JSON.parse(await answer.text()); } catch { return {}; } }

async function ask(method, path, content, more = {}) {
  const headers = { ...more }, used = access;
  if (used) headers.Authorization = "Bearer " + used;
  if (content) headers["Content-Type"] = "application/json";
  const answer = await open(path, { method, headers, body: content && JSON.stringify(content) });
  const data = await body(answer);
  if (answer.status === 401 && used && !path.startsWith("/v1/sessions")) {
    if (access === used) await renew();
    if (access) return ask(method, path, content, more);
  }
  if (!answer.ok) throw Failure.of(answer, data);
  return { status: answer.status, data };
}

// One renewal at a time, whoever needs it. Only a refusal ends the session: without an answer the
// refresh token is as good as before.
function renew() {
  return renewing ??= (async mine => {
    const headers = { "Content-Type": "application/json" };
    const answer = await open("/v1/sessions/refresh", { method: "POST", headers, body: JSON.stringify({ refresh_token: refresh }) });
    const data = await body(answer);
    if (mine !== session) return;
    if (answer.ok) took(data);
    else if ([400, 401, 403].includes(answer.status)) left("Your session has ended.");
    else throw Failure.of(answer, data);
  })(session).finally(() => { renewing = null; });
}

function took(tokens) { access = tokens.access_token; refresh = tokens.refresh_token; }

async function enter(event) {
  event.preventDefault();
  const form = new FormData($("log-in"));
  const [email, password, name] = ["email", "password", "name"].map(field => form.get(field));
  $("enter").disabled = true;
  try {
    if (joining) {
      say("door-say", "Registering …", "wait");
      const done = await ask("POST", "/v1/users", { email, password, name }, { Prefer: "wait=10", "Idempotency-Key": crypto.randomUUID() });
      if (done.status === 202) { say("door-say", "Registered soon: log in in a moment.", "wait"); return; }
      join(false);
    }
    say("door-say", "Logging in …", "wait");
    took((await ask("POST", "/v1/sessions", { email, password })).data);
    const me = (await ask("GET", "/v1/users/me")).data;
    session++;
    admin = me.role === "admin";
    $("who").textContent = me.name + (admin ? " (admin)" : "");
    $("log-in").reset(); say("door-say", ""); within(true);
    $("shelf-title").focus();
    watch(session);
    orders(); shelf();
  } catch (error) {
    access = refresh = null;
    say("door-say", error.message, "bad");
    if (error.status === 401) $("log-in").elements.password.focus();
  } finally { $("enter").disabled = false; }
}

function within(so) {
  $("door").hidden = so; $("leave").hidden = $("mine").hidden = !so; $("place").disabled = !so;
  $("hint").textContent = so ? "" : "Log in to order.";
}

function left(why = "") {
  session++;
  access = refresh = unsure = null; last = after = ""; admin = false;
  if (stream) stream.abort();
  $("who").textContent = ""; $("flow").replaceChildren(); $("orders").replaceChildren();
  say("door-say", why, "wait"); say("order-say", ""); flowing(false, "after logging in"); within(false);
  $("log-in").elements.email.focus();
}

// What is shown already stays; it is only as old as it is.
function unread(list, error) { if (!$(list).querySelector("li[data-id]")) $(list).replaceChildren(make("li", error.message, "bad")); }

async function shelf() {
  try {
    const { data } = await ask("GET", "/v1/products?limit=100");
    // What is being typed stays, and so does the place where it is typed.
    const inputs = [...$("shelf").querySelectorAll("input")], focused = document.activeElement?.name;
    const chosen = Object.fromEntries(inputs.map(input => [input.name, input.value]));
    $("shelf").replaceChildren(...data.items.map(product => {
      const row = make("li"), what = make("span", undefined, "what"), count = make("input");
      row.dataset.id = product.sku;
      what.append(make("strong", product.name), make("br"), make("small", `${product.sku} · ${product.available} available`));
      Object.assign(count, { type: "number", min: 0, max: 1000000, name: product.sku, value: chosen[product.sku] || 0, inputMode: "numeric" });
      count.setAttribute("aria-label", "Pieces of " + product.name);
      row.append(what, make("span", money(product.price_minor, product.currency), "price"), count);
      return row;
    }));
    if (!data.items.length) $("shelf").replaceChildren(make("li", "The shelves are empty.", "soft"));
    if (focused && inputs.some(input => input.name === focused)) $("order").elements[focused]?.focus();
  } catch (error) { unread("shelf", error); }
}

async function place(event) {
  event.preventDefault();
  const inputs = [...$("shelf").querySelectorAll("input")];
  const lines = inputs.map(input => ({ sku: input.name, quantity: Number(input.value) })).filter(line => line.quantity > 0);
  if (!lines.length) { say("order-say", "Say how many of what.", "wait"); return; }
  // An order whose fate is not known is repeated under its own key: it can't be placed twice.
  const said = JSON.stringify(lines), key = unsure?.said === said ? unsure.key : crypto.randomUUID();
  unsure = { said, key };
  $("place").disabled = true;
  say("order-say", "On its way …", "wait");
  const begun = performance.now();
  try {
    const done = await ask("POST", "/v1/orders", { lines }, { Prefer: "wait=5", "Idempotency-Key": key });
    const took = Math.round(performance.now() - begun);
    unsure = null;
    if (done.status === 202) say("order-say", "Taken; the result is not known yet.", "wait");
    else { after = `order/${done.data.id}@${done.data.version}`; say("order-say", `${done.data.status} in ${took} ms`, "good"); }
    for (const input of inputs) input.value = 0;
  } catch (error) {
    if (error.status && error.status < 500) unsure = null;
    say("order-say", error.message, "bad");
  } finally { $("place").disabled = !access; orders(); shelf(); }
}

function pill(node, status) { node.textContent = status; node.className = "pill " + (KINDS[status] || ""); return node; }

async function orders() {
  const mine = session;
  if (!access) return;
  try {
    const { data } = await ask("GET", "/v1/orders?limit=10", undefined, after ? { "Read-After": after } : {});
    if (mine !== session) return;
    $("orders").replaceChildren(...data.items.map(order => {
      const row = make("li"), what = make("span", undefined, "grow");
      row.dataset.id = order.id;
      what.append(make("span", order.lines.map(line => `${line.quantity} × ${line.sku}`).join(", ")), make("br"), make("small", new Date(order.placed_at).toLocaleString()));
      row.append(what, make("span", order.total_minor === undefined ? "" : money(order.total_minor, order.currency), "price"), pill(make("span"), order.status));
      return row;
    }));
    if (!data.items.length) $("orders").replaceChildren(make("li", "Nothing yet.", "soft"));
  } catch (error) { if (mine === session) unread("orders", error); }
}

let due = 0, asked = 0;
function soon() {
  if (due) return;
  due = setTimeout(() => { due = 0; asked = Date.now(); orders(); }, Math.max(400, asked + ORDERS_EVERY_MS - Date.now()));
}

function show(event) {
  let told = {};
  try { told = JSON.parse(event.data); } catch { /* Shown without. */ }
  const row = make("li", undefined, "new"), box = make("details"), head = make("summary"), top = make("span", undefined, "top");
  const kind = /Rejected|Failed/.test(event.kind) ? "bad" : /Confirmed/.test(event.kind) ? "good" : "";
  top.append(make("strong", event.kind, kind), make("small", told.at ? new Date(told.at).toLocaleTimeString() : ""));
  head.append(top, make("code", told.key ? `${told.aggregate}/${told.key}@${told.version}` : `${told.aggregate}@${told.version}`));
  box.append(head);
  // What it says is written out when someone opens it.
  box.addEventListener("toggle", () => box.append(make("pre", JSON.stringify(told.data, null, 2))), { once: true });
  row.append(box);
  enqueue(row);
  if (told.aggregate !== "order") return;
  const order = [...$("orders").children].find(row => row.dataset.id === told.key);
  if (!order) soon();
  else if (ENDS[event.kind]) pill(order.lastChild, ENDS[event.kind]);
}

function enqueue(row) {
  $("flow").prepend(row);
  while ($("flow").children.length > FLOW_MAX) $("flow").lastChild.remove();
}

function missed() {
  const row = make("li");
  row.append(make("p", "Some events were missed here.", "wait"));
  enqueue(row);
  orders(); shelf();
}

function flowing(on, state) { $("dot").className = on ? "dot on" : "dot"; $("flow-state").textContent = state; }

// The blocks of an event stream as they come. A block that was cut off is never given, so `last` is
// the position behind what was shown.
async function* events(answer, heard) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    heard();
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const event = { kind: "message", data: "", id: null };
      for (const line of block.split("\n")) {
        const at = line.indexOf(":"), field = line.slice(0, at), text = line.slice(at + 1).replace(/^ /, "");
        if (field === "event") event.kind = text;
        if (field === "data") event.data += text;
        if (field === "id") event.id = text;
      }
      yield event;
    }
  }
}

// EventSource can't send a token, so the stream is read with fetch. It ends with the token, and
// goes on with the next one from where it stood.
async function watch(mine) {
  while (mine === session) {
    const cut = stream = new AbortController();
    let silence = 0, pause = RETRY_MS, why = "connecting again";
    const heard = () => { clearTimeout(silence); silence = setTimeout(() => cut.abort(), SILENCE_MAX_MS); };
    try {
      const used = access, headers = { Authorization: "Bearer " + used };
      if (last) headers["Last-Event-ID"] = last;
      heard();
      const answer = await open("/v1/stream", { headers, signal: cut.signal });
      if (answer.status === 401) { if (access === used) await renew(); continue; }
      if (!answer.ok) throw Failure.of(answer, await body(answer));
      flowing(true, admin ? "connected; personal fields are masked" : "connected");
      // It may have been asked in vain meanwhile.
      if (!$("orders").querySelector("li[data-id]")) soon();
      for await (const event of events(answer, heard)) {
        if (mine !== session) return;
        if (event.kind === "end" && event.data === "replaced") { flowing(false, "ended: it is open in too many places"); return; }
        if (event.kind === "end") { pause = event.data === "token" ? 0 : LEAVING_MS; continue; }
        if (event.kind === "reset") missed();
        else if (event.data) show(event);
        if (event.id !== null) last = event.id;
      }
      if (pause === 0 && access === used) await renew();
    } catch (error) {
      if (error instanceof Failure && error.status) why = error.message;
      pause = Math.max(RETRY_MS, (error.wait || 0) * 1000);
    } finally { clearTimeout(silence); }
    if (mine !== session) return;
    flowing(false, why);
    await new Promise(resume => setTimeout(resume, pause));
  }
}

function join(so) {
  joining = so;
  $("name-field").hidden = !so;
  $("log-in").elements.name.required = so;
  $("log-in").elements.password.autocomplete = so ? "new-password" : "current-password";
  $("enter").textContent = so ? "Register" : "Log in";
  $("other").textContent = so ? "I have an account" : "I am new here";
  $("door-title").textContent = so ? "Join" : "Come in";
}

$("log-in").addEventListener("submit", enter);
$("order").addEventListener("submit", place);
$("other").addEventListener("click", () => { join(!joining); say("door-say", ""); });
$("leave").addEventListener("click", () => {
  // Here it ends at once, there as soon as the request arrives; unheard, it ends by itself.
  ask("DELETE", "/v1/sessions/current").catch(() => {});
  left();
});
shelf();
