// The operator's desk: the lists, which the stream brings as they change, or requests read.

const pause = time => new Promise(resume => setTimeout(resume, time));

// The lists. Each has the page to read next; whether more than the first page is shown (`isLong`);
// whether the page that is asked for is a next one (`asksNext`, null when none is asked for); and
// how many first pages were asked for, or were brought by the stream. What `of` returns is the same
// for an entry that has changed.
const LISTS = {
  parked: { path: PARKED, show: parkedKey, of: it => it.topic + "/" + it.key, firsts: 0 },
  dead: { path: DEAD_LETTERS, show: deadLetter, of: it => it.id, firsts: 0 },
  actions: { path: "/v1/operations/actions", show: action, of: it => it.command, firsts: 0 },
};

// Reads the first page of a list, or the next one.
async function readList(id, cursor) {
  const mine = session, list = LISTS[id], more = $(id + "-more");
  const query = cursor ? "?cursor=" + encodeURIComponent(cursor) : "";
  const first = cursor ? list.firsts : ++list.firsts;
  const isNewest = () => mine === session && first === list.firsts;
  list.asksNext = Boolean(cursor);
  more.disabled = true;
  try {
    const { data } = await request("GET", list.path + query);
    // A first page that was asked for or brought meanwhile is newer, and has another next one.
    if (isNewest()) showPage(id, data, Boolean(cursor));
  } finally {
    if (isNewest()) nothingIsAsked(id);
  }
}

function nothingIsAsked(id) {
  LISTS[id].asksNext = null;
  $(id + "-more").disabled = false;
}

// Puts rows into a list. Rows that stay are not moved, and keep their focus and their place.
function putRows(list, rows) {
  let next = list.firstChild;
  for (const row of rows) {
    if (row === next) next = next.nextSibling;
    else list.insertBefore(row, next);
  }
  while (next) {
    const gone = next;
    next = next.nextSibling;
    gone.remove();
  }
}

// Keeps what is open of an entry that has changed. To read it again could cost a request for each
// change, so that is left to who reads it.
function keepOpen(old, row) {
  const contents = [...row.querySelectorAll("details")];
  for (const [place, content] of [...old.querySelectorAll("details")].entries()) {
    if (!content.open || !contents[place]) continue;
    if (!content.isOld) {
      content.querySelector("summary").textContent += " before a change (open again to read)";
    }
    content.isOld = true;
    contents[place].replaceWith(content);
  }
}

// Shows the first page of a list, or a next one below what is shown.
function showPage(id, { items, next }, isNext) {
  const list = LISTS[id];
  // An entry that has not changed stays as it is, with what is open in it.
  const old = new Map(Array.from($(id).children, row => [row.item, row]));
  const before = new Map(Array.from($(id).children, row => [row.name, row]));
  const rows = items.map(it => {
    const item = JSON.stringify(it), name = list.of(it);
    if (old.has(item)) return old.get(item);
    const row = Object.assign(list.show(it), { item, name });
    if (before.has(name)) keepOpen(before.get(name), row);
    return row;
  });
  if (isNext) {
    $(id).append(...rows);
    rows[0]?.querySelector("button")?.focus();
  } else {
    // A key that is read again keeps the focus of its buttons.
    const focused = document.activeElement?.getAttribute("aria-label");
    putRows($(id), rows);
    const lost = focused && document.activeElement === document.body;
    const found = lost && $(id).querySelector(`[aria-label="${CSS.escape(focused)}"]`);
    if (found) found.focus({ preventScroll: true });
  }
  list.isLong = isNext;
  list.next = next;
  $(id + "-more").hidden = !next;
}

function sayRead() {
  $("read-at").textContent = "read at " + new Date().toLocaleTimeString();
}

async function readAll() {
  $("read").disabled = true;
  try {
    await Promise.all([readFigures(), ...Object.keys(LISTS).map(id => readList(id))]);
    sayRead();
  } catch (error) {
    say("say", error.message, "bad");
  } finally {
    $("read").disabled = false;
  }
}

// Whether the stream is open, which brings all changes.
let isLive = false;

function setConnected(isConnected, text) {
  isLive = isConnected;
  $("dot").className = isConnected ? "dot on" : "dot";
  $("state").textContent = text;
}

// The lists, by the names of their events.
const STREAMED = { "parked": "parked", "dead-letters": "dead", "actions": "actions" };

const STREAM = {
  path: "/v1/operations/stream",
  headers: () => ({}),
  opened: () => setConnected(true, "live"),
  setConnected,
  show: ({ kind, data }) => {
    const id = STREAMED[kind];
    if (kind === "pipeline") showFigures(JSON.parse(data));
    if (!id) return;
    // A user who reads on in a list, or is about to, is not sent back to its beginning.
    const list = LISTS[id];
    if (list.asksNext ?? list.isLong) {
      $("read-at").textContent = "A list has changed: refresh to see it.";
      return;
    }
    list.firsts++;
    nothingIsAsked(id);
    showPage(id, JSON.parse(data, reviver), false);
    sayRead();
  },
};
