// The operator's desk: the lists, read again and again.

// How often everything is read, which takes four requests: far below the limit of requests.
const READ_INTERVAL_MS = 90000;

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
  if (mine !== session) return;
  // An entry that has not changed stays as it is, with what is open in it.
  const old = new Map(Array.from($(id).children, row => [row.item, row]));
  const rows = data.items.map(it => {
    const item = JSON.stringify(it);
    return Object.assign(old.get(item) ?? list.show(it), { item });
  });
  if (cursor) {
    $(id).append(...rows);
    rows[0]?.querySelector("button")?.focus();
  } else {
    // A key that is read again keeps the focus of its buttons.
    const focused = document.activeElement?.getAttribute("aria-label");
    $(id).replaceChildren(...rows);
    if (focused) $(id).querySelector(`[aria-label="${CSS.escape(focused)}"]`)?.focus();
  }
  list.next = data.next;
  $(id + "-more").hidden = !data.next;
}

async function readAll() {
  $("read").disabled = true;
  try {
    await Promise.all([readFigures(), ...Object.keys(LISTS).map(id => readList(id))]);
    $("read-at").textContent = "read at " + new Date().toLocaleTimeString();
  } catch (error) {
    say("say", error.message, "bad");
  } finally {
    $("read").disabled = false;
  }
}

// Reads the lists again and again until the session ends.
async function readAgain(mine) {
  while (mine === session) {
    await pause(READ_INTERVAL_MS);
    if (mine === session && !document.hidden && !$("ask").open) await readAll();
  }
}
