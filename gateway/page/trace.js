// The script of a trace, last part: reading until the trace is complete.

// The waits between reads of a trace that still grows, in milliseconds: few, because requests are
// limited.
const WAITS_MS = [500, 1000, 2000, 4000, 8000, 15000, 30000];
// A trace counts as complete if nothing was added within the last of these waits.
const QUIET_READS = 3;

// Counts what the user asks for, so that a later answer to an earlier request is dropped.
let asked = 0;

const commandOf = () => decodeURIComponent(location.pathname.split("/")[2] || "");

function tile(name, value) {
  const group = make("div");
  group.append(make("dt", name), make("dd", value));
  return group;
}

function draw(trace) {
  const { records } = trace;
  const last = records.reduce((most, record) => Math.max(most, record.after_ms), 0);
  const topics = new Set(records.map(record => record.topic));
  const tiles = [
    tile("State", trace.state), tile("Records", records.length + (trace.is_cut ? "+" : "")),
    tile("Topics", topics.size), tile("From first to last", `${last.toLocaleString()} ms`),
  ];
  if (trace.decided_at) tiles.push(tile("Decided", new Date(trace.decided_at).toLocaleString()));
  $("tiles").replaceChildren(...tiles);
  drawTree(records);
}

async function read(command) {
  return (await request("GET", `/v1/commands/${encodeURIComponent(command)}/trace`)).data;
}

// Shows a trace, and reads it again while it grows.
async function show(trace) {
  const mine = ++asked, command = trace.command;
  let quiet = 0, count = trace.records.length;
  draw(trace);
  for (const wait of WAITS_MS) {
    await new Promise(resume => setTimeout(resume, wait));
    if (mine !== asked) return;
    try {
      trace = await read(command);
    } catch {
      continue;
    }
    if (mine !== asked) return;
    draw(trace);
    quiet = trace.records.length === count && trace.state !== "pending" ? quiet + 1 : 0;
    count = trace.records.length;
    if (quiet >= QUIET_READS) return;
  }
}

function present(trace) {
  $("door").hidden = true;
  $("trace").hidden = false;
  $("find").elements.command.value = trace.command;
  say("find-say", "");
  show(trace);
}

// Asks for the log-in, with the reason for the user.
function endSession(reason = "") {
  session++;
  asked++;
  accessToken = refreshToken = null;
  $("who").textContent = "";
  $("tree").replaceChildren();
  $("tiles").replaceChildren();
  $("leave").hidden = $("trace").hidden = true;
  $("door").hidden = false;
  say("door-say", reason, "wait");
  $("log-in").elements.email.focus();
}

const reasonOf = error =>
  error.status === 404 ? "There is no such command of yours." : error.message;

// Fails for a user who did not send the command.
async function enter() {
  const { name } = (await request("GET", "/v1/users/me")).data;
  const trace = await read(commandOf());
  $("who").textContent = name;
  $("leave").hidden = false;
  present(trace);
}

// Looks at another command, or at the same one again.
async function look(command) {
  say("find-say", "Reading …", "wait");
  const mine = ++asked;
  try {
    const trace = await read(command);
    if (mine !== asked) return;
    if (command !== commandOf()) history.pushState(null, "", `/commands/${trace.command}`);
    present(trace);
  } catch (error) {
    if (mine === asked) say("find-say", reasonOf(error), "bad");
  }
}

// Some commands are read without a log-in, such as a registration.
async function start() {
  try {
    present(await read(commandOf()));
  } catch (error) {
    endSession([401, 404].includes(error.status) ? "" : error.message);
  }
}

$("find").addEventListener("submit", event => {
  event.preventDefault();
  look($("find").elements.command.value.trim());
});
$("again").addEventListener("click", () => look(commandOf()));
openDoor(enter, reasonOf);
addEventListener("popstate", () => look(commandOf()));
start();
