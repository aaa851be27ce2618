// The script of a trace, last part: reading until the trace is complete.

// The waits between reads of a trace that still grows, in milliseconds: few, because requests are
// limited.
const WAITS_MS = [500, 1000, 2000, 4000, 8000, 15000, 30000];
// A trace counts as complete if nothing was added within the last of these waits.
const QUIET_READS = 3;

// Counts what the user asks for, so that a later answer to an earlier request is dropped.
let asked = 0;

// What the page's address names: a command, an order or a record.
function subject() {
  const [, of, id] = location.pathname.split("/");
  return { of, id: decodeURIComponent(id || "") };
}

function tile(name, value) {
  const group = make("div");
  group.append(make("dt", name), make("dd", value));
  return group;
}

// The projections that have not applied all records.
function behind({ records }) {
  const late = records.flatMap(record => record.applied.filter(it => !it.is_applied));
  const names = [...new Set(late.map(it => it.projection))];
  return names.length ? `behind: ${names.join(", ")}` : "";
}

// What a command or an order that has not ended waits for, and until when.
function waitsFor({ records, waits }) {
  const isWaitedFor = record => waits.records.includes(record.id);
  const names = [...new Set(records.filter(isWaitedFor).map(record => shortName(record.type)))];
  const what = names.join(", ") || "the next record";
  return waits.until ? `${what}, until ${new Date(waits.until).toLocaleTimeString()}` : what;
}

// Shows a trace, with the record at the place `opened` open.
function draw(trace, opened) {
  const { records } = trace;
  const last = records.reduce((most, record) => Math.max(most, record.after_ms), 0);
  const topics = new Set(records.map(record => record.topic));
  const tiles = [
    tile("State", trace.state), tile("Records", records.length + (trace.is_cut ? "+" : "")),
    tile("Topics", topics.size), tile("From first to last", `${last.toLocaleString()} ms`),
  ];
  tiles.push(tile("Read models", behind(trace) || "have all records"));
  if (trace.waits) tiles.push(tile("Waits for", waitsFor(trace)));
  if (trace.decided_at) tiles.push(tile("Decided", new Date(trace.decided_at).toLocaleString()));
  $("tiles").replaceChildren(...tiles);
  drawTree(records, opened);
}

async function read({ of, id }) {
  return (await request("GET", `/v1/${of}/${encodeURIComponent(id)}/trace`)).data;
}

const subjectOf = ({ command, order }) =>
  order ? { of: "orders", id: order } : { of: "commands", id: command };

// The place of the record that the address names, as the tree shows it.
function namedPlace() {
  const { of, id } = subject(), [offset, partition, ...topic] = id.split(":").reverse();
  return of === "records" ? place({ topic: topic.join(":"), partition, offset }) : undefined;
}

// Reads the trace of what has this id: a record, a command, or an order.
async function readAny(id) {
  if (id.includes(":")) return read({ of: "records", id });
  try {
    return await read({ of: "commands", id });
  } catch (error) {
    if (error.status !== 404) throw error;
    return read({ of: "orders", id });
  }
}

// Shows a trace, with the record that the address names open, and reads it again while it grows.
async function show(trace) {
  const mine = ++asked, what = subjectOf(trace);
  let quiet = 0, count = trace.records.length, drawn = JSON.stringify(trace);
  draw(trace, namedPlace());
  for (const wait of WAITS_MS) {
    await new Promise(resume => setTimeout(resume, wait));
    if (mine !== asked) return;
    try {
      trace = await read(what);
    } catch {
      continue;
    }
    if (mine !== asked) return;
    // What has not changed keeps its focus and its place.
    const text = JSON.stringify(trace);
    if (text !== drawn) draw(trace);
    drawn = text;
    const isOpen = ["pending", "placed"].includes(trace.state) || behind(trace);
    quiet = trace.records.length === count && !isOpen ? quiet + 1 : 0;
    count = trace.records.length;
    if (quiet >= QUIET_READS) return;
  }
}

function present(trace) {
  $("trace").hidden = false;
  $("find").elements.id.value = subjectOf(trace).id;
  say("find-say", "");
  show(trace);
}

// Asks for the log-in, with the reason for the user.
function endSession(reason = "") {
  forgetSession();
  asked++;
  $("tree").replaceChildren();
  $("tiles").replaceChildren();
  $("trace").hidden = true;
  showWho("", true);
  say("door-say", reason, "wait");
  $("log-in").elements.email.focus();
}

const reasonOf = error =>
  error.status === 404 ? "There is no such command, order or record of yours." : error.message;

// Fails for a user who sent neither the command nor the order.
async function enter() {
  const { name } = (await request("GET", "/v1/users/me")).data;
  const trace = await read(subject());
  showWho(name);
  present(trace);
}

// Looks at what the address names, or at something else.
async function look(id) {
  say("find-say", "Reading …", "wait");
  const mine = ++asked;
  try {
    const trace = await (id === undefined ? read(subject()) : readAny(id));
    if (mine !== asked) return;
    const { of, id: found } = subjectOf(trace);
    if (id !== undefined && found !== subject().id) history.pushState(null, "", `/${of}/${found}`);
    present(trace);
  } catch (error) {
    if (mine !== asked) return;
    if (error.status === 401 && !accessToken) showWho("", true);
    say("find-say", reasonOf(error), "bad");
  }
}

// Some commands are read without a log-in, such as a registration. Others need the session of the
// page that has opened this one, or a log-in.
async function start() {
  try {
    await borrow();
    if (accessToken) {
      await enter();
    } else {
      const trace = await read(subject());
      showWho("");
      present(trace);
    }
  } catch (error) {
    const isUnknown = error.status === 401 || error.status === 404 && !accessToken;
    endSession(isUnknown ? "" : reasonOf(error));
  }
}

$("find").addEventListener("submit", event => {
  event.preventDefault();
  look($("find").elements.id.value.trim());
});
$("again").addEventListener("click", () => look());
openDoor(enter, reasonOf);
addEventListener("popstate", () => look());
start();
