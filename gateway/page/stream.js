// The live page's script, third part: the live stream of events.

const EVENTS_MAX = 200, RECONNECT_MS = 2000, DRAINING_MS = 1000;
// The server sends something every 15 s; after this time without anything the connection is lost.
const SILENCE_MAX_MS = 45000;
// The status of an order after the event that ends its saga.
const STATUS_AFTER = {
  OrderConfirmed: "confirmed", OrderRejected: "rejected", OrderCancelled: "cancelled",
};

// The connection, to abort it, and the position after the last event that was shown.
let connection = null, position = "";

function setConnected(isConnected, text) {
  $("dot").className = isConnected ? "dot on" : "dot";
  $("flow-state").textContent = text;
}

function addRow(row) {
  $("flow").prepend(row);
  while ($("flow").children.length > EVENTS_MAX) $("flow").lastChild.remove();
}

function showEvent(event) {
  let shown = {};
  try {
    shown = JSON.parse(event.data);
  } catch {
    // The row shows only the event's type.
  }
  const { aggregate, key, version, at, data } = shown;
  const row = make("li", undefined, "new"), details = make("details"), summary = make("summary");
  const isBad = /Rejected|Failed/.test(event.kind), isGood = /Confirmed/.test(event.kind);
  const top = make("span", undefined, "top");
  const time = at ? new Date(at).toLocaleTimeString() : "";
  top.append(make("strong", event.kind, isBad ? "bad" : isGood ? "good" : ""), make("small", time));
  const name = key ? `${aggregate}/${key}@${version}` : `${aggregate}@${version}`;
  summary.append(top, make("code", name));
  details.append(summary);
  // The fields are written out when the user opens the row.
  const showFields = () => details.append(make("pre", JSON.stringify(data, null, 2)));
  details.addEventListener("toggle", showFields, { once: true });
  row.append(details);
  addRow(row);
  if (aggregate !== "order") return;
  const order = [...$("orders").children].find(row => row.dataset.id === key);
  if (!order) loadOrdersSoon();
  else if (STATUS_AFTER[event.kind]) setPill(order.lastChild, STATUS_AFTER[event.kind]);
}

// Events are missing, so what is shown may be stale.
function showGap() {
  const row = make("li");
  row.append(make("p", "Some events were missed here.", "wait"));
  addRow(row);
  loadOrders();
  loadProducts();
}

// Parses one block of an event stream.
function parseEvent(block) {
  const event = { kind: "message", data: "", id: null };
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    const field = line.slice(0, colon), value = line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") event.kind = value;
    if (field === "data") event.data += value;
    if (field === "id") event.id = value;
  }
  return event;
}

// The events of a response. A block that was cut off is never yielded, so `position` is always the
// one after the last event that was shown.
async function* eventsOf(response, restartSilence) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    restartSilence();
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) yield parseEvent(block);
  }
}

// Reads the stream until the session ends, and reconnects when it is cut off. EventSource can't
// send a token, so this uses fetch. The stream ends with its token; the next one continues at
// `position`.
async function readStream(mine, isAdmin) {
  while (mine === session) {
    const current = connection = new AbortController();
    let silence = 0, pause = RECONNECT_MS, state = "reconnecting";
    const restartSilence = () => {
      clearTimeout(silence);
      silence = setTimeout(() => current.abort(), SILENCE_MAX_MS);
    };
    try {
      const used = accessToken, headers = { Authorization: "Bearer " + used };
      if (position) headers["Last-Event-ID"] = position;
      restartSilence();
      const response = await send("/v1/stream", { headers, signal: current.signal });
      if (response.status === 401) {
        if (accessToken === used) await refresh();
        continue;
      }
      if (!response.ok) throw Failure.of(response, await jsonOf(response));
      setConnected(true, isAdmin ? "connected; personal fields are masked" : "connected");
      // The orders may have failed to load while the server could not be reached.
      if (!$("orders").querySelector("li[data-id]")) loadOrdersSoon();
      for await (const event of eventsOf(response, restartSilence)) {
        if (mine !== session) return;
        if (event.kind === "end" && event.data === "replaced") {
          setConnected(false, "closed: too many pages with live events are open");
          return;
        }
        if (event.kind === "end") {
          pause = event.data === "token" ? 0 : DRAINING_MS;
          continue;
        }
        if (event.kind === "reset") showGap();
        else if (event.data) showEvent(event);
        if (event.id !== null) position = event.id;
      }
      if (pause === 0 && accessToken === used) await refresh();
    } catch (error) {
      if (error instanceof Failure && error.status) state = error.message;
      pause = Math.max(RECONNECT_MS, (error.retryAfter || 0) * 1000);
    } finally {
      clearTimeout(silence);
    }
    if (mine !== session) return;
    setConnected(false, state);
    await new Promise(resume => setTimeout(resume, pause));
  }
}
