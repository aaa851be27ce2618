// The operator's desk, last part of its script: the lists, and the commands that re-drive a
// parked key.

// How often the lists are read: far below the limit of requests.
const READ_INTERVAL_MS = 60000;
// When the lists are read after a command: the projection follows within a moment.
const READ_AFTER_MS = [300, 1500];

const pause = time => new Promise(resume => setTimeout(resume, time));
const at = time => new Date(time).toLocaleString();
const pieces = (count, noun) => `${count.toLocaleString()} ${noun}${count === 1 ? "" : "s"}`;

function size(bytes) {
  if (bytes < 1024) return pieces(bytes, "byte");
  return (bytes / 1024).toLocaleString(undefined, { maximumFractionDigits: 1 }) + " KiB";
}

// A list of terms with values; those without a value are left out.
function terms(pairs) {
  const list = make("dl");
  for (const [term, value] of pairs) {
    if (value === undefined || value === "") continue;
    const group = make("div");
    group.append(make("dt", term), make("dd", value));
    list.append(group);
  }
  return list;
}

// The beginning of an entry: where it is, and its time.
function heading(name, where, time) {
  const line = make("p", undefined, "top");
  line.append(make("strong", name), make("code", where), make("small", at(time), "soft"));
  return line;
}

const shortType = type => type.split(".").pop() || "no type";

function parkedKey(it) {
  const entry = make("li"), buttons = make("div", undefined, "row");
  const retry = make("button", "Try again"), drop = make("button", "Give up first", "quiet");
  retry.addEventListener("click", () => ask(it, "retry"));
  drop.addEventListener("click", () => ask(it, "drop"));
  for (const button of [retry, drop]) {
    button.setAttribute("aria-label", `${button.textContent}: ${it.topic}, key ${it.key}`);
  }
  buttons.append(retry, drop);
  const waiting = it.records - 1;
  entry.append(
    heading(shortType(it.type), `${it.topic}[${it.partition}]@${it.offset}`, it.since),
    make("p", it.error || "It waits.", "bad"),
    terms([
      ["key", it.key], ["waiting behind it", pieces(waiting, "record")], ["sender", it.sender],
      ["all", size(it.bytes)],
    ]),
    buttons,
  );
  return entry;
}

function deadLetter(it) {
  const entry = make("li");
  entry.append(
    heading(shortType(it.type), `${it.topic}[${it.partition}]@${it.offset ?? "?"}`, it.at),
    make("p", it.error, "bad"),
    terms([
      ["key", it.key], ["sender", it.sender],
      ["size", it.bytes === undefined ? "not kept" : size(it.bytes)],
      ["dead letter", `${it.topic}.dead[${it.partition}]@${it.dead_offset}`],
    ]),
  );
  return entry;
}

function action(it) {
  const entry = make("li"), isDrop = it.dropped_offset !== undefined;
  const fails = it.parked_from !== undefined ? `offset ${it.parked_from} still fails` : "";
  entry.append(
    heading(isDrop ? "Gave up first" : "Tried again", it.topic, it.at),
    make("p", it.reason || "without a reason"),
    terms([
      ["key", it.key], ["who", it.who], ["no longer parked", pieces(it.released, "record")],
      ["result", fails],
    ]),
  );
  return entry;
}

// The lists, with the page to read next.
const LISTS = {
  parked: { path: "/v1/operations/parked", show: parkedKey },
  dead: { path: "/v1/operations/dead-letters", show: deadLetter },
  actions: { path: "/v1/operations/actions", show: action },
};

// Reads the first page of a list, or the next one.
async function readList(id, cursor) {
  const mine = session, list = LISTS[id];
  const query = cursor ? "?cursor=" + encodeURIComponent(cursor) : "";
  const { data } = await request("GET", list.path + query);
  if (mine !== session) return;
  const rows = data.items.map(list.show);
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
    await Promise.all(Object.keys(LISTS).map(id => readList(id)));
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

const WORDS = {
  retry: {
    title: "Try again", done: "All parked records of the key were applied.",
    what: it => `Applies ${pieces(it.records, "parked record")} of the key again, in their order, `
      + "up to the first one that still fails.",
  },
  drop: {
    title: "Give up first", done: "The record is a dead letter; those behind it were applied.",
    what: it => `Makes the record at offset ${it.offset} a dead letter, and applies the `
      + `${pieces(it.records - 1, "record")} behind it.`,
  },
};

// What the dialog is about. One idempotency key for each dialog: however often its button is
// pressed, it is one command.
let asked = null;

function ask(it, verb) {
  const { title, what } = WORDS[verb];
  asked = { it, verb, key: crypto.randomUUID() };
  $("ask-title").textContent = `${title}: ${it.topic}, key ${it.key}`;
  $("ask-what").textContent = what(it);
  $("confirm").textContent = title;
  $("redrive").reset();
  $("ask").showModal();
}

async function redrive(event) {
  event.preventDefault();
  const { it, verb, key } = asked, mine = session;
  const { topic, offset } = it, reason = $("redrive").elements.reason.value;
  $("ask").close();
  say("say", "Sending the command …", "wait");
  try {
    const headers = { Prefer: "wait=10", "Idempotency-Key": key };
    const content = { topic, key: it.key, offset, reason };
    const { status } = await request("POST", "/v1/operations/parked:" + verb, content, headers);
    const isDone = status === 200;
    say("say", isDone ? WORDS[verb].done : "The command is not decided yet.",
      isDone ? "good" : "wait");
  } catch (error) {
    say("say", error.message, "bad");
  }
  for (const time of READ_AFTER_MS) {
    await pause(time);
    if (mine !== session) return;
    await readAll();
  }
  if (document.activeElement === document.body) $("parked-title").focus();
}

// Shows the desk of a session.
function begin(name) {
  session++;
  $("who").textContent = name;
  $("door").hidden = true;
  $("desk").hidden = $("leave").hidden = false;
  say("say", "");
  $("parked-title").focus();
  readAgain(session);
}

// Ends the session on this page, with the reason for the user.
function endSession(reason = "") {
  session++;
  accessToken = refreshToken = null;
  if ($("ask").open) $("ask").close();
  for (const id of Object.keys(LISTS)) $(id).replaceChildren();
  $("who").textContent = "";
  $("leave").hidden = $("desk").hidden = true;
  $("door").hidden = false;
  say("door-say", reason, "wait");
  $("log-in").elements.email.focus();
}

// Fails for a user who is no admin.
async function enter() {
  await readList("parked");
  begin((await request("GET", "/v1/users/me")).data.name);
  await readAll();
}

$("redrive").addEventListener("submit", redrive);
$("cancel").addEventListener("click", () => $("ask").close());
$("read").addEventListener("click", () => {
  say("say", "");
  readAll();
});
openDoor(enter, error => error.status === 403 ? "Only admins see the desk." : error.message);
for (const id of Object.keys(LISTS)) {
  $(id + "-more").addEventListener("click", () => {
    readList(id, LISTS[id].next).catch(error => say("say", error.message, "bad"));
  });
}
endSession();
