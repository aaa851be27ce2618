// The operator's desk: the lists, which the stream brings as they change, or requests read.

const pause = time => new Promise(resume => setTimeout(resume, time));

// The lists, with the page to read next.
const LISTS = {
  parked: { path: PARKED, show: parkedKey },
  dead: { path: DEAD_LETTERS, show: deadLetter },
  actions: { path: "/v1/operations/actions", show: action },
};

// Reads the first page of a list, or the next one.
async function readList(id, cursor) {
  const mine = session, list = LISTS[id];
  const query = cursor ? "?cursor=" + encodeURIComponent(cursor) : "";
  const { data } = await request("GET", list.path + query);
  if (mine === session) showPage(id, data, Boolean(cursor));
}

// Shows the first page of a list, or a next one below what is shown.
function showPage(id, { items, next }, isNext) {
  const list = LISTS[id];
  // An entry that has not changed stays as it is, with what is open in it.
  const old = new Map(Array.from($(id).children, row => [row.item, row]));
  const rows = items.map(it => {
    const item = JSON.stringify(it);
    return Object.assign(old.get(item) ?? list.show(it), { item });
  });
  if (isNext) {
    $(id).append(...rows);
    rows[0]?.querySelector("button")?.focus();
  } else {
    // A key that is read again keeps the focus of its buttons.
    const focused = document.activeElement?.getAttribute("aria-label");
    $(id).replaceChildren(...rows);
    if (focused) $(id).querySelector(`[aria-label="${CSS.escape(focused)}"]`)?.focus();
  }
  Object.assign(list, { next, isLong: isNext });
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
    // Who reads on in a list is not sent back to its beginning.
    if (LISTS[id].isLong) {
      $("read-at").textContent = "A list has changed: refresh to see it.";
      return;
    }
    showPage(id, JSON.parse(data, reviver), false);
    sayRead();
  },
};
