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
// The page of products to read next, if there is one.
let shelfNext = "", shelfLoad = 0;
// An order of more products has all products read again instead of each of its own.
const LINES_READ_MAX = 5;

// Shows why a list could not be loaded, unless an older list is shown already.
function showFailure(list, error) {
  if ($(list).querySelector("li[data-id]")) return;
  $(list).replaceChildren(make("li", error.message, "bad"));
}

const stockOf = product => `${product.sku} · ${product.available} available`;

function productRow(product, quantity) {
  const row = make("li"), what = make("span", undefined, "what"), input = make("input");
  row.dataset.id = product.sku;
  what.append(make("strong", product.name), make("br"), make("small", stockOf(product)));
  const { sku: name } = product;
  const limits = { type: "number", min: 0, max: 1000000, inputMode: "numeric" };
  Object.assign(input, limits, { name, value: quantity });
  input.setAttribute("aria-label", "Quantity of " + product.name);
  row.append(what, make("span", money(product.price_minor, product.currency), "price"), input);
  return row;
}

function setShelfNext(next) {
  shelfNext = next || "";
  $("shelf-more").hidden = !next;
}

// Reads the first page of products.
async function loadProducts() {
  const load = ++shelfLoad;
  try {
    const { data: { items, next } } = await request("GET", "/v1/products?limit=100");
    // A later load has overtaken this answer.
    if (load !== shelfLoad) return;
    // Keeps the quantities that were typed, and the focus.
    const inputs = [...$("shelf").querySelectorAll("input")];
    const focused = document.activeElement?.name;
    const typed = Object.fromEntries(inputs.map(input => [input.name, input.value]));
    const rows = items.map(product => productRow(product, typed[product.sku] || 0));
    if (!rows.length) rows.push(make("li", "There are no products yet.", "soft"));
    $("shelf").replaceChildren(...rows);
    setShelfNext(next);
    if (focused && inputs.some(input => input.name === focused)) {
      $("order").elements[focused]?.focus();
    }
  } catch (error) {
    showFailure("shelf", error);
  }
}

// Shows the next page of products, and focuses its first quantity.
async function showMoreProducts() {
  const load = shelfLoad;
  $("shelf-more").disabled = true;
  try {
    const cursor = encodeURIComponent(shelfNext);
    const { data } = await request("GET", "/v1/products?limit=100&cursor=" + cursor);
    // All products were read again meanwhile.
    if (load !== shelfLoad) return;
    const rows = data.items.map(product => productRow(product, 0));
    $("shelf").append(...rows);
    setShelfNext(data.next);
    rows[0]?.querySelector("input").focus();
  } catch (error) {
    say("order-say", error.message, "bad");
  } finally {
    $("shelf-more").disabled = false;
  }
}

// Reads the products of an order again, whose stock it has changed.
async function reloadProducts(lines) {
  if (lines.length > LINES_READ_MAX) return loadProducts();
  await Promise.all(lines.map(async ({ sku }) => {
    const path = "/v1/products/" + encodeURIComponent(sku);
    // An older number stays if it can't be read.
    const product = await request("GET", path).then(({ data }) => data, () => null);
    const input = $("order").elements[sku];
    if (!product || !input) return;
    input.closest("li").querySelector("small").textContent = stockOf(product);
  }));
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
    if (mine === session) $("place").disabled = false;
    loadOrders();
    reloadProducts(lines);
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
