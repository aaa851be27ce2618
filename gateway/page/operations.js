// The operator's desk, last part of its script: the lists, and the commands that re-drive a
// parked key.

// How often everything is read, which takes four requests: far below the limit of requests.
const READ_INTERVAL_MS = 90000;
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
  const button = (text, kind, press) => {
    const made = make("button", text, kind);
    made.addEventListener("click", press);
    made.setAttribute("aria-label", `${text}: ${it.topic}, key ${it.key}`);
    buttons.append(made);
  };
  button("Try again", "", () => ask(it, "retry"));
  button("Edit first", "quiet", () => askForEdit(it));
  button("Give up first", "quiet", () => ask(it, "drop"));
  if (it.error) button("All with this error", "quiet", () => askForAll(it.error));
  const waiting = it.records - 1;
  entry.append(
    heading(shortType(it.type), `${it.topic}[${it.partition}]@${it.offset}`, it.since),
    make("p", it.error || "It waits.", "bad"),
    terms([
      ["key", it.key], ["waiting behind it", pieces(waiting, "record")], ["sender", it.sender],
      ["all", size(it.bytes)],
    ]),
    recordsOf(it),
    traceLink("records", `${it.topic}:${it.partition}:${it.offset}`),
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
    contentOf(it),
    traceLink("records", `${it.topic}.dead:${it.partition}:${it.dead_offset}`),
  );
  if (it.resent_by) {
    entry.append(make("p", "It was sent again.", "soft"), traceLink("commands", it.resent_by));
  } else if (it.bytes !== undefined) {
    const send = make("button", "Send again", "quiet"), row = make("div", undefined, "row");
    send.setAttribute("aria-label", `Send again: ${it.id}`);
    send.addEventListener("click", () => {
      openDialog({ resent: it }, `Send again: ${it.id}`, resendText(it), "Send again");
    });
    row.append(send);
    entry.append(row);
  }
  return entry;
}

// What sending a dead letter again does, by the kind of its topic.
function resendText(it) {
  const kind = it.topic.split(".").pop();
  const what = {
    commands: "Decides on the command again, as a new command.",
    followups: "Writes the follow-up to its topic again, behind what waits there.",
    events: "Derives again what follows from the event.",
  }[kind];
  return what + " This is possible once. If it fails again, nothing has changed.";
}

// What is read when it is opened for the first time: `read` returns a promise of elements.
function opened(text, label, read) {
  const content = make("details"), summary = make("summary", text);
  summary.setAttribute("aria-label", label);
  content.append(summary);
  content.addEventListener("toggle", async () => {
    if (!content.open || content.childElementCount > 1) return;
    const shown = make("div", "Reading …");
    content.append(shown);
    try {
      shown.replaceChildren(...await read());
    } catch (error) {
      shown.textContent = error.message;
    }
  });
  return content;
}

// The headers and the value of a record.
function contentText({ headers = {}, value, omitted }) {
  const lines = Object.entries(headers).map(([name, text]) => `${name}: ${text}\n`);
  if (lines.length) lines.push("\n");
  lines.push(value ? JSON.stringify(value, null, 2) : `There is no value: ${omitted}.`);
  return make("pre", lines.join(""));
}

function contentOf(it) {
  return opened("Content", `Content of ${it.id}`, async () => {
    const path = "/v1/operations/dead-letters/" + encodeURIComponent(it.id);
    const { data } = await request("GET", path);
    const text = contentText(data);
    if (!data.value) return [text];
    const show = make("button", "Show personal fields", "quiet");
    show.addEventListener("click", () => {
      const what = "Shows the fields that are masked. Who has done so, when and why is kept.";
      const about = { revealed: it, show: shown => text.replaceWith(contentText(shown)) };
      openDialog(about, `Personal fields of ${it.id}`, what, "Show");
    });
    return [text, show];
  });
}

function recordsOf(it) {
  return opened("Records", `Records of ${it.topic}, key ${it.key}`, async () => {
    const query = new URLSearchParams({ topic: it.topic, key: it.key });
    const { data } = await request("GET", "/v1/operations/parked/records?" + query);
    const record = one => [
      make("p", `${shortType(one.type)} at offset ${one.offset}: ${one.error || "it waits"}`),
      contentText(one),
    ];
    const more = data.next ? [make("p", "There are more records.", "soft")] : [];
    return [...data.items.flatMap(record), ...more];
  });
}

function action(it) {
  const entry = make("li"), isDrop = it.dropped_offset !== undefined;
  const isReveal = it.revealed_offset !== undefined, isResend = it.resent_offset !== undefined;
  const isEdit = it.edited_offset !== undefined;
  const done = isReveal ? "Read personal fields" : isResend ? "Sent again"
    : isEdit ? "Edited first" : isDrop ? "Gave up first" : "Tried again";
  const fails = it.parked_from !== undefined ? `offset ${it.parked_from} still fails` : "";
  entry.append(
    heading(done, it.topic, it.at),
    make("p", it.reason || "without a reason"),
    terms([
      ["key", it.key], ["who", it.who],
      ["no longer parked", isReveal || isResend ? "" : pieces(it.released, "record")],
      ["result", fails],
    ]),
  );
  if (isEdit) {
    entry.append(opened("Before and after", `Edit of ${it.topic}, key ${it.key}`, () => [
      make("p", "Before"), contentText({ value: it.before, omitted: "it could not be read" }),
      make("p", "After"), contentText({ value: it.after }),
    ]));
  }
  entry.append(traceLink("commands", it.command));
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

// The processors' figures: name, text and unit.
const PROCESSORS = [
  ["lag_records", "Waiting records", ""], ["lag_s", "The oldest waits at most", " s"],
  ["tasks_active", "Active tasks", ""], ["tasks_restoring", "Restoring", ""],
  ["restore_remaining_records", "Records left to restore", ""], ["tasks_stuck", "Stuck", ""],
];

// Reads the processors' figures. The desk is usable without them.
async function readProcessors() {
  const mine = session;
  let figures = {}, problem = "";
  try {
    figures = (await request("GET", "/v1/pipeline")).data;
  } catch (error) {
    problem = error.message;
  }
  if (mine !== session) return;
  $("processors-say").textContent = problem || "as Prometheus saw them last";
  $("processors").replaceChildren(...PROCESSORS.map(([name, text, unit]) => {
    const group = make("div"), value = figures[name];
    group.append(make("dt", text),
      make("dd", value == null ? "–" : Math.round(value).toLocaleString() + unit));
    return group;
  }));
}

async function readAll() {
  $("read").disabled = true;
  try {
    await Promise.all([readProcessors(), ...Object.keys(LISTS).map(id => readList(id))]);
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

// What the dialog is about: a parked key, the first record of one to edit, all keys with an error,
// or a dead letter to reveal or to send again. One idempotency key for each dialog: however often
// its button is pressed, a key gets one command.
let asked = null;

function openDialog(about, title, what, button) {
  asked = { ...about, idempotencyKey: crypto.randomUUID() };
  $("ask-title").textContent = title;
  $("ask-what").textContent = what;
  $("confirm").textContent = button;
  $("give-up").hidden = !about.error;
  $("edit").hidden = $("edit").disabled = !about.edited;
  say("ask-say", "");
  $("redrive").reset();
  $("ask").showModal();
}

function ask(it, verb) {
  const { title, what } = WORDS[verb];
  openDialog({ it, verb }, `${title}: ${it.topic}, key ${it.key}`, what(it), title);
}

// Opens the dialog for the first record of a key, with its value.
async function askForEdit(it) {
  const mine = session;
  try {
    const query = new URLSearchParams({ topic: it.topic, key: it.key, limit: 1 });
    const { data } = await request("GET", "/v1/operations/parked/records?" + query);
    if (mine !== session) return;
    const [first] = data.items;
    if (!first) throw new Failure("The key is not parked any more.");
    const edited = { topic: it.topic, key: it.key, offset: first.offset };
    const what = `Applies the record at offset ${first.offset} with this value, and then the `
      + `${pieces(it.records - 1, "record")} behind it. What is masked is kept, unless you change `
      + "it. If the record still fails, nothing has changed.";
    openDialog({ edited }, `Edit first: ${it.topic}, key ${it.key}`, what, "Apply the value");
    const { type, value } = $("redrive").elements;
    type.value = first.type;
    value.value = JSON.stringify(first.value ?? {}, null, 2);
  } catch (failure) {
    say("say", failure.message, "bad");
  }
}

// What the dialog's fields say of the edited record. Fails if the value is no JSON.
function editedContent() {
  const { type, value } = $("redrive").elements;
  try {
    return { ...asked.edited, type: type.value, value: JSON.parse(value.value) };
  } catch (error) {
    throw new Failure(`The value is no JSON: ${error.message}`);
  }
}

// Opens the dialog for all keys with an error, with what a dry run says.
async function askForAll(error) {
  const mine = session;
  try {
    const { data } = await request("POST", SELECTION_PATHS.retry + "?dry_run=true", { error });
    if (mine !== session) return;
    const first = data.is_cut ? "The first " : "";
    const what = `${first}${pieces(data.keys, "key")} with ${pieces(data.records, "parked record")}`
      + ` will be tried again, or lose the first record of each. Their error: ${error}`;
    openDialog({ error }, "All with this error", what, "Try all again");
  } catch (failure) {
    say("say", failure.message, "bad");
  }
}

const SELECTION_PATHS = {
  retry: "/v1/operations/parked:retry-all", drop: "/v1/operations/parked:drop-all",
};

// Sends what the dialog is about, and returns what to say and how.
async function sendAsked(verb, reason) {
  const { it, edited, error, revealed, resent, show, idempotencyKey } = asked;
  const headers = { Prefer: "wait=10", "Idempotency-Key": idempotencyKey + verb };
  if (revealed) {
    const path = "/v1/operations/dead-letters:reveal";
    const { status, data } = await request("POST", path, { id: revealed.id, reason }, headers);
    if (status !== 200) return ["The command is not decided yet.", "wait"];
    show(data);
    return ["The personal fields are shown.", "good"];
  }
  if (resent) {
    const path = "/v1/operations/dead-letters:resend";
    const { status } = await request("POST", path, { id: resent.id, reason }, headers);
    return status === 200 ? ["It was sent again.", "good"]
      : ["It was sent again, or will be: there is no outcome yet.", "wait"];
  }
  if (edited) {
    // It names the record, so a repeat can't edit another one, and needs no common key.
    headers["Idempotency-Key"] = crypto.randomUUID();
    const path = "/v1/operations/parked:edit";
    const { status } = await request("POST", path, { ...editedContent(), reason }, headers);
    return status === 200 ? ["The record was applied with the new value.", "good"]
      : ["The command is not decided yet.", "wait"];
  }
  if (error) {
    const { data } = await request("POST", SELECTION_PATHS[verb], { error, reason }, headers);
    const { accepted, refused, failed, pending, unsent } = data.commands;
    const parts = [
      [accepted, "applied"], [refused, "still failing or changed since"], [failed, "failed"],
      [pending, "not decided yet"], [unsent, "not sent"],
    ];
    const told = parts.filter(([count]) => count).map(([count, end]) => `${count} ${end}`);
    const text = `${pieces(data.keys, "key")}: ${told.join(", ") || "nothing to do"}.`;
    return [text, accepted === data.keys ? "good" : "wait"];
  }
  const content = { topic: it.topic, key: it.key, offset: it.offset, reason };
  const { status } = await request("POST", "/v1/operations/parked:" + verb, content, headers);
  return status === 200 ? [WORDS[verb].done, "good"] : ["The command is not decided yet.", "wait"];
}

async function redrive(event) {
  event.preventDefault();
  const mine = session, reason = $("redrive").elements.reason.value;
  const verb = asked.verb ?? event.submitter?.value ?? "retry";
  // The dialog of an edit stays open until the value is applied, so that it can be changed.
  const { edited } = asked, place = edited ? "ask-say" : "say";
  if (!edited) $("ask").close();
  $("confirm").disabled = Boolean(edited);
  say(place, "Sending the command …", "wait");
  try {
    const said = await sendAsked(verb, reason);
    if (edited && mine === session) $("ask").close();
    say("say", ...said);
  } catch (error) {
    say(place, error.message, "bad");
    if (edited) return;
  } finally {
    $("confirm").disabled = false;
  }
  for (const time of READ_AFTER_MS) {
    await pause(time);
    if (mine !== session) return;
    await readAll();
  }
  if (document.activeElement === document.body) $("parked-title").focus();
}

// The address of the admin, who may have to give the password again.
let email = "";

// Asks for the password in a dialog, and logs in again with it.
function askPassword() {
  const mine = session, dialog = $("step-up"), form = $("step-up-form");
  const stop = new AbortController(), { signal } = stop;
  const submit = async event => {
    event.preventDefault();
    const old = accessToken, content = { email, password: form.elements.password.value };
    $("step-up-confirm").disabled = true;
    say("step-up-say", "Logging in …", "wait");
    try {
      const { data } = await request("POST", "/v1/sessions", content);
      if (mine !== session) return;
      setTokens(data);
      // The session before is not needed any more. If this does not arrive, it expires.
      const headers = { Authorization: "Bearer " + old };
      send("/v1/sessions/current", { method: "DELETE", headers }).catch(() => {});
      dialog.close("done");
    } catch (error) {
      say("step-up-say", error.message, "bad");
      form.elements.password.select();
    } finally {
      $("step-up-confirm").disabled = false;
    }
  };
  form.reset();
  form.elements.email.value = email;
  say("step-up-say", "");
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve, reject) => {
    form.addEventListener("submit", submit, { signal });
    dialog.addEventListener("close", () => {
      stop.abort();
      form.reset();
      if (dialog.returnValue === "done") resolve();
      else reject(new Failure("Nothing was done: the password was not given.", 401));
    }, { signal });
  });
}

// All requests that need the password share one dialog.
let asking = null;
stepUp = () => asking ??= askPassword().finally(() => { asking = null; });

// Shows the desk of a session.
function begin(me) {
  session++;
  email = me.email;
  $("who").textContent = me.name;
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
  for (const id of ["ask", "step-up"]) if ($(id).open) $(id).close();
  for (const id of ["processors", ...Object.keys(LISTS)]) $(id).replaceChildren();
  $("who").textContent = "";
  $("leave").hidden = $("desk").hidden = true;
  $("door").hidden = false;
  say("door-say", reason, "wait");
  $("log-in").elements.email.focus();
}

// Fails for a user who is no admin.
async function enter() {
  await readList("parked");
  begin((await request("GET", "/v1/users/me")).data);
  await readAll();
}

$("redrive").addEventListener("submit", redrive);
$("cancel").addEventListener("click", () => $("ask").close());
$("step-up-cancel").addEventListener("click", () => $("step-up").close());
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
