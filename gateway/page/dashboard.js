// The dashboard's script, last part: the statistics, and what is shown of them.

const WIDTH_MS = { minute: 60000, hour: 3600000 };
// How often windows of an hour, and products that run low, are read again: far below the limit of
// requests.
const READ_INTERVAL_MS = 60000;
const LOW_BELOW = 10;

// What was read of each width: the oldest window's start, windows by their start, best sellers.
const nothing = () => ({ first: 0, windows: new Map(), sellers: [] });
let held = { minute: nothing(), hour: nothing() };
// The width that is shown, and what is held of it.
let by = "minute", { first, windows, sellers } = nothing();

// Takes statistics: all windows, or those that have changed.
function take(statistics, isWhole) {
  const into = isWhole ? nothing() : held[statistics.by];
  into.first = Date.parse(statistics.first);
  into.sellers = statistics.best_sellers;
  for (const window of statistics.windows) into.windows.set(Date.parse(window.start), window);
  for (const start of into.windows.keys()) if (start < into.first) into.windows.delete(start);
  held[statistics.by] = into;
  if (statistics.by === by) draw();
}

const sum = name => [...windows.values()].reduce((all, window) => all + (window[name] || 0), 0);

// The currencies of all windows.
function currencies() {
  return [...new Set([...windows.values()].flatMap(it => Object.keys(it.revenue_minor || {})))];
}

const revenue = (window, currency) => window?.revenue_minor?.[currency] || 0;

// The most characters of a value that has one column.
const SHORT_MAX = 14;

function tile(id, name, value) {
  const group = make("div", undefined, value.length > SHORT_MAX ? "long" : "");
  const shown = make("dd", value);
  shown.id = id;
  shown.style.setProperty("--length", value.length);
  group.append(make("dt", name), shown);
  return group;
}

function drawTiles() {
  const count = name => sum(name).toLocaleString();
  const isAdmin = [...windows.values()].some(window => window.revenue_minor);
  const tiles = [
    tile("placed", "Orders placed", count("placed")),
    tile("confirmed", "Confirmed", count("confirmed")),
    tile("rejected", "Rejected", count("rejected")),
    tile("cancelled", "Cancelled", count("cancelled")),
  ];
  for (const currency of isAdmin ? currencies() : []) {
    const minor = [...windows.values()].reduce((all, it) => all + revenue(it, currency), 0);
    tiles.push(tile("revenue-" + currency, "Revenue", money(minor, currency)));
  }
  if (isAdmin) {
    tiles.push(
      tile("registrations", "Registrations", count("registrations")),
      tile("notifications", "Notifications", count("notifications")),
      tile("mails", "Mails sent", count("mails_sent")),
      tile("mails-failed", "Mails failed", count("mails_failed")),
    );
  }
  $("tiles").replaceChildren(...tiles);
}

// The figures of the pipeline: name, text, unit, digits after the point.
const FIGURES = [
  ["commands_per_s", "Commands in", "/s", 1],
  ["outcomes_per_s", "Outcomes", "/s", 1],
  ["transactions_per_s", "Transactions", "/s", 1],
  ["lag_records", "Lag", " records", 0],
  ["read_models_behind_s", "Read models behind", " s", 3],
  ["parked_records", "Parked", " records", 0],
  ["dead_letters_last_hour", "Dead letters, last hour", "", 0],
];

// Shows the pipeline's figures; none if Prometheus can't be read.
function drawPipeline(figures) {
  $("pipeline").hidden = false;
  $("pipeline-say").textContent = figures ? "rates of the last minute" : "no figures: "
    + "Prometheus does not answer";
  const shown = ([name, text, unit, digits]) =>
    tile(name, text, figure(figures[name], unit, digits));
  $("figures").replaceChildren(...(figures ? FIGURES.map(shown) : []));
}

// What the charts show.
function chartsOfWindows() {
  const width = WIDTH_MS[by], length = by === "minute" ? 60 : 720;
  const starts = Array.from({ length }, (_, index) => first + index * width);
  const times = starts.map(start => start / 1000);
  const unit = by === "minute" ? "a minute" : "an hour";
  const line = name => starts.map(start => windows.get(start)?.[name] || 0);
  // There is no time where no order was confirmed.
  const within = name => starts.map(start => windows.get(start)?.[name] ?? null);
  return [
    { title: "Orders placed", unit, times, lines: { placed: line("placed") }, isBars: true },
    {
      title: "What became of orders", unit, times,
      lines: {
        confirmed: line("confirmed"), rejected: line("rejected"), cancelled: line("cancelled"),
      },
    },
    {
      title: "From placed to confirmed", unit: "milliseconds, at most", times,
      lines: { p50: within("confirm_p50_ms"), p99: within("confirm_p99_ms") },
      format: value => value.toLocaleString() + " ms",
    },
    ...currencies().map(currency => ({
      title: "Revenue in " + currency, unit, times, isBars: true,
      lines: { revenue: starts.map(start => revenue(windows.get(start), currency)) },
      format: value => money(value, currency),
    })),
  ];
}

// A list of names with numbers; each bar is a part of `most`.
function drawBars(id, items, most) {
  const rows = items.map(({ name, value }) => {
    const row = make("li"), bar = make("progress");
    Object.assign(bar, { max: most, value });
    bar.setAttribute("aria-hidden", "true");
    row.append(make("span", name), make("b", value.toLocaleString()), bar);
    return row;
  });
  $(id).replaceChildren(...rows);
}

function draw() {
  ({ first, windows, sellers } = held[by]);
  // Until windows of this width were read, there is nothing to show.
  if (!first) {
    drawCharts([]);
    for (const id of ["tiles", "sellers"]) $(id).replaceChildren();
    return;
  }
  drawTiles();
  drawCharts(chartsOfWindows());
  drawBars("sellers", sellers.map(it => ({ name: it.sku, value: it.units })), sellers[0]?.units);
}

async function readLow(mine) {
  const { data } = await request("GET", "/v1/products?limit=100");
  if (mine !== session) return;
  const low = data.items.filter(product => product.available < LOW_BELOW);
  low.sort((one, other) => one.available - other.available);
  const items = low.slice(0, 10).map(it => ({ name: it.name, value: it.available }));
  drawBars("low", items, LOW_BELOW);
  const which = data.next ? `None of the first ${data.items.length} products` : "No product";
  $("low").dataset.empty = `${which} has fewer than ${LOW_BELOW} pieces.`;
}

async function readHours(mine) {
  const { data } = await request("GET", "/v1/statistics?by=hour");
  if (mine === session) take(data, true);
}

// Reads what no stream has, again and again until the session ends.
async function readAgain(mine) {
  while (mine === session) {
    const reads = [readLow(mine), ...(by === "hour" ? [readHours(mine)] : [])];
    const failed = (await Promise.allSettled(reads)).find(it => it.status === "rejected");
    if (mine !== session) return;
    say("read-say", failed ? failed.reason.message : "", "bad");
    await new Promise(resume => setTimeout(resume, READ_INTERVAL_MS));
  }
}

function setConnected(isConnected, text) {
  $("dot").className = isConnected ? "dot on" : "dot";
  $("state").textContent = text;
}

const STREAM = {
  path: "/v1/statistics/stream",
  headers: () => ({}),
  opened: () => setConnected(true, "live"),
  setConnected,
  show: event => {
    if (event.kind === "pipeline") drawPipeline(JSON.parse(event.data));
    else if (event.data) take(JSON.parse(event.data), event.kind === "statistics");
  },
};

async function choose(width) {
  by = width;
  for (const one of ["minute", "hour"]) $("by-" + one).setAttribute("aria-pressed", one === width);
  const mine = session;
  draw();
  say("read-say", "");
  // The stream has minutes only.
  if (width === "minute") return;
  try {
    await readHours(mine);
  } catch (error) {
    if (mine === session) say("read-say", error.message, "bad");
  }
}

// Shows the statistics of a session, or of none.
function begin(name) {
  session++;
  if (connection) connection.abort();
  showWho(name);
  $("board").hidden = false;
  readEvents(STREAM, session);
  readAgain(session);
}

// Ends the session on this page, with the reason for the user.
function endSession(reason = "") {
  forgetSession();
  if (connection) connection.abort();
  held = { minute: nothing(), hour: nothing() };
  drawCharts([]);
  for (const id of ["figures", "tiles", "sellers", "low"]) $(id).replaceChildren();
  $("pipeline").hidden = $("board").hidden = true;
  say("read-say", "");
  showWho("", true);
  say("door-say", reason, "wait");
  $("log-in").elements.email.focus();
}

// Fails for a user who may not read statistics.
async function enter() {
  take((await request("GET", "/v1/statistics")).data, true);
  begin((await request("GET", "/v1/users/me")).data.name);
}

// Without a log-in, the dashboard is shown if everyone may read it.
async function start() {
  try {
    take((await request("GET", "/v1/statistics")).data, true);
    begin("");
  } catch (error) {
    endSession(error.status === 401 ? "" : error.message);
  }
}

openDoor(enter, error => error.status === 403 ? "Only admins see the dashboard." : error.message);
for (const width of ["minute", "hour"]) {
  $("by-" + width).addEventListener("click", () => choose(width));
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  restyleCharts();
  if (!$("board").hidden) draw();
});
start();
