// The live page's script, third part: the products, and the user's orders.

const PILLS = { confirmed: "good", rejected: "bad", cancelled: "wait" };
// Events reload the orders at most once in this time, so that a busy shop stays far below the limit
// of requests.
const ORDERS_INTERVAL_MS = 20000;

// The last order's version, for `Read-After`.
let lastOrder = "";
// The order whose outcome is unknown, with its idempotency key.
let unconfirmed = null;
let ordersTimer = 0, ordersLoadedAt = 0, ordersLoad = 0;
// How many pages of products are shown.
let shelfPages = 1, shelfLoad = 0;

// Shows why a list could not be loaded, unless an older list is shown already.
function showFailure(list, error) {
  if ($(list).querySelector("li[data-id]")) return;
  $(list).replaceChildren(make("li", error.message, "bad"));
}

function productRow(product, quantity) {
  const row = make("li"), what = make("span", undefined, "what"), input = make("input");
  row.dataset.id = product.sku;
  const stock = `${product.sku} · ${product.available} available`;
  what.append(make("strong", product.name), make("br"), make("small", stock));
  const { sku: name } = product;
  const limits = { type: "number", min: 0, max: 1000000, inputMode: "numeric" };
  Object.assign(input, limits, { name, value: quantity });
  input.setAttribute("aria-label", "Quantity of " + product.name);
  row.append(what, make("span", money(product.price_minor, product.currency), "price"), input);
  return row;
}

// Reads the products of all pages that are shown.
async function readProducts() {
  const items = [];
  let next;
  for (let page = 0; page < shelfPages; page++) {
    const cursor = next ? "&cursor=" + encodeURIComponent(next) : "";
    const { data } = await request("GET", "/v1/products?limit=100" + cursor);
    items.push(...data.items);
    next = data.next;
    if (!next) break;
  }
  return { items, hasMore: Boolean(next) };
}

async function loadProducts() {
  const load = ++shelfLoad;
  try {
    const { items, hasMore } = await readProducts();
    // A later load has overtaken this answer.
    if (load !== shelfLoad) return;
    // Keeps the quantities that were typed, and the focus.
    const inputs = [...$("shelf").querySelectorAll("input")];
    const focused = document.activeElement?.name;
    const typed = Object.fromEntries(inputs.map(input => [input.name, input.value]));
    const rows = items.map(product => productRow(product, typed[product.sku] || 0));
    if (!rows.length) rows.push(make("li", "There are no products yet.", "soft"));
    $("shelf").replaceChildren(...rows);
    $("shelf-more").hidden = !hasMore;
    if (focused && inputs.some(input => input.name === focused)) {
      $("order").elements[focused]?.focus();
    }
  } catch (error) {
    showFailure("shelf", error);
  }
}

// Shows the next page of products, and focuses its first quantity.
async function showMoreProducts() {
  const shown = $("shelf").childElementCount;
  $("shelf-more").disabled = true;
  shelfPages++;
  await loadProducts();
  $("shelf-more").disabled = false;
  $("shelf").children[shown]?.querySelector("input")?.focus();
}

function clearQuantities() {
  for (const input of $("shelf").querySelectorAll("input")) input.value = 0;
}

async function placeOrder(event) {
  event.preventDefault();
  const mine = session;
  const lines = [...$("shelf").querySelectorAll("input")]
    .map(input => ({ sku: input.name, quantity: Number(input.value) }))
    .filter(line => line.quantity > 0);
  if (!lines.length) {
    say("order-say", "Enter a quantity for at least one product.", "wait");
    return;
  }
  // Repeats an order whose outcome is unknown under its key, so that it can't be placed twice.
  const content = JSON.stringify(lines);
  const key = unconfirmed?.content === content ? unconfirmed.key : randomId();
  unconfirmed = { content, key };
  $("place").disabled = true;
  say("order-say", "Placing the order …", "wait");
  const begun = performance.now();
  try {
    const headers = { Prefer: "wait=5", "Idempotency-Key": key };
    const { status, data } = await request("POST", "/v1/orders", { lines }, headers);
    const took = Math.round(performance.now() - begun);
    if (mine !== session) return;
    unconfirmed = null;
    if (status === 202) {
      say("order-say", "The order was accepted; its result is not known yet.", "wait");
    } else {
      lastOrder = `order/${data.id}@${data.version}`;
      say("order-say", `The order is ${data.status} after ${took} ms.`, "good");
    }
    clearQuantities();
  } catch (error) {
    if (mine !== session) return;
    if (error.status && error.status < 500) unconfirmed = null;
    say("order-say", error.message, "bad");
  } finally {
    $("place").disabled = !accessToken;
    loadOrders();
    loadProducts();
  }
}

function setPill(node, status) {
  node.textContent = status;
  node.className = "pill " + (PILLS[status] || "");
  return node;
}

function orderRow(order) {
  const row = make("li"), what = make("span", undefined, "grow");
  row.dataset.id = order.id;
  const lines = order.lines.map(line => `${line.quantity} × ${line.sku}`).join(", ");
  const placedAt = new Date(order.placed_at).toLocaleString();
  const about = make("small", placedAt + " · ");
  about.append(traceLink("orders", order.id));
  what.append(make("span", lines), make("br"), about);
  const { total_minor: total, currency } = order;
  const price = total === undefined ? "" : money(total, currency);
  row.append(what, make("span", price, "price"), setPill(make("span"), order.status));
  return row;
}

async function loadOrders() {
  const mine = session, load = ++ordersLoad;
  if (!accessToken) return;
  try {
    const headers = lastOrder ? { "Read-After": lastOrder } : {};
    const { data } = await request("GET", "/v1/orders?limit=10", undefined, headers);
    // A later load, or another session, has overtaken this answer.
    if (mine !== session || load !== ordersLoad) return;
    const rows = data.items.map(orderRow);
    if (!rows.length) rows.push(make("li", "You have no orders yet.", "soft"));
    $("orders").replaceChildren(...rows);
  } catch (error) {
    if (mine === session) showFailure("orders", error);
  }
}

// Loads the orders soon, but not too often.
function loadOrdersSoon() {
  if (ordersTimer) return;
  const wait = Math.max(400, ordersLoadedAt + ORDERS_INTERVAL_MS - Date.now());
  ordersTimer = setTimeout(() => {
    ordersTimer = 0;
    ordersLoadedAt = Date.now();
    loadOrders();
  }, wait);
}
