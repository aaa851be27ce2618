// The live page's script, fourth part: the live stream of events.

const EVENTS_MAX = 200;
// The status of an order after the event that ends its saga.
const STATUS_AFTER = {
  OrderConfirmed: "confirmed", OrderRejected: "rejected", OrderCancelled: "cancelled",
};

// The position after the last event that was shown.
let position = "";

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
  const { aggregate, key, version, at, command, data } = shown;
  const row = make("li", undefined, "new"), details = make("details"), summary = make("summary");
  const isBad = /Rejected|Failed/.test(event.kind), isGood = /Confirmed/.test(event.kind);
  const top = make("span", undefined, "top");
  const time = at ? new Date(at).toLocaleTimeString() : "";
  top.append(make("strong", event.kind, isBad ? "bad" : isGood ? "good" : ""), make("small", time));
  const name = key ? `${aggregate}/${key}@${version}` : `${aggregate}@${version}`;
  summary.append(top, make("code", name));
  details.append(summary);
  // The fields are written out when the user opens the row.
  const showFields = () => {
    if (command) details.append(traceLink("commands", command));
    details.append(make("pre", JSON.stringify(data, null, 2)));
  };
  details.addEventListener("toggle", showFields, { once: true });
  row.append(details);
  addRow(row);
  if (aggregate !== "order") return;
  const order = [...$("orders").children].find(row => row.dataset.id === key);
  const status = STATUS_AFTER[event.kind];
  if (order && status) setPill(order.lastChild, status);
  // The event has no price, and an answer that is under way may still have the status before.
  if (!order || status) loadOrdersSoon();
}

// Events are missing, so what is shown may be stale.
function showGap() {
  const row = make("li");
  row.append(make("p", "Some events were missed here.", "wait"));
  addRow(row);
  loadOrders();
  loadProducts();
}

// Reads the stream until the session ends. The next connection continues at `position`.
function readStream(mine, isAdmin) {
  return readEvents({
    path: "/v1/stream",
    headers: () => position ? { "Last-Event-ID": position } : {},
    opened: () => {
      setConnected(true, isAdmin ? "connected; personal fields are masked" : "connected");
      // The orders may have failed to load while the server could not be reached.
      if (!$("orders").querySelector("li[data-id]")) loadOrdersSoon();
    },
    setConnected,
    show: event => {
      if (event.kind === "reset") showGap();
      else if (event.data) showEvent(event);
      if (event.id !== null) position = event.id;
    },
  }, mine);
}
