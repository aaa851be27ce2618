// The operator's desk: the dialog in which an operator gives a reason, and the commands that it
// sends.

// When the lists are read after a command, if no stream brings the changes: the projection follows
// within a moment.
const READ_AFTER_MS = [300, 1500];

// What the open dialog is about. `act(reason, headers, verb)` sends its commands, and returns what
// to say, how, and whether some have no outcome yet.
let asked = null;
// Counts what the operator asks for, so that a late answer opens no dialog over another one.
let asks = 0;

// Opens the dialog. With `hasChoice`, a second button gives up the first records; with `isEdit` it
// has the fields of a record. `home` is the heading of the list.
function openDialog(title, what, button, act, more = {}) {
  const { hasChoice = false, isEdit = false, home = "parked-title" } = more;
  asks++;
  // One idempotency key for each dialog: however often its button is pressed, a key gets one
  // command.
  asked = { act, isEdit, home, idempotencyKey: randomId() };
  $("ask-title").textContent = title;
  $("ask-what").textContent = what;
  $("confirm").textContent = button;
  $("give-up").hidden = !hasChoice;
  $("edit").hidden = $("edit").disabled = !isEdit;
  $("confirm").disabled = $("give-up").disabled = false;
  say("ask-say", "");
  $("redrive").reset();
  $("ask").showModal();
}

// What to say of a command, how, and whether it has no outcome yet.
function said(status, done, pending = "The command is not decided yet.") {
  return status === 200 ? [done, "good", false] : [pending, "wait", true];
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

// Re-drives a parked key.
function askToRedrive(it, verb) {
  const { title, what, done } = WORDS[verb];
  const act = async (reason, headers) => {
    const content = { topic: it.topic, key: it.key, offset: it.offset, reason };
    return said((await request("POST", PARKED + ":" + verb, content, headers)).status, done);
  };
  openDialog(`${title}: ${it.topic}, key ${it.key}`, what(it), title, act);
}

// Re-drives all keys with an error, after a dry run.
async function askForAll(error) {
  const mine = session, ask = ++asks;
  const path = verb => `${PARKED}:${verb}-all`;
  const act = async (reason, headers, verb) => {
    const { data } = await request("POST", path(verb), { error, reason }, headers);
    const { accepted, refused, failed, pending, unsent } = data.commands;
    const parts = [
      [accepted, "applied"], [refused, "still failing or changed since"], [failed, "failed"],
      [pending, "not decided yet"], [unsent, "not sent"],
    ];
    const ends = parts.filter(([count]) => count).map(([count, end]) => `${count} ${end}`);
    const text = `${pieces(data.keys, "key")}: ${ends.join(", ") || "nothing to do"}.`;
    return [text, accepted === data.keys ? "good" : "wait", pending + unsent > 0];
  };
  try {
    const { data } = await request("POST", path("retry") + "?dry_run=true", { error });
    if (mine !== session || ask !== asks) return;
    const first = data.is_cut ? "The first " : "";
    const what = `${first}${pieces(data.keys, "key")} with ${pieces(data.records, "parked record")}`
      + ` will be tried again, or lose the first record of each. Their error: ${error}`;
    openDialog("All with this error", what, "Try all again", act, { hasChoice: true });
  } catch (failure) {
    say("say", failure.message, "bad");
  }
}

// Edits the first record of a key, after its value was read.
async function askForEdit(it) {
  const mine = session, ask = ++asks;
  try {
    const query = new URLSearchParams({ topic: it.topic, key: it.key, limit: 1 });
    const { data } = await request("GET", `${PARKED}/records?${query}`);
    if (mine !== session || ask !== asks) return;
    const [first] = data.items;
    if (!first) throw new Failure("The key is not parked any more.");
    if (!JSON.rawJSON) throw new Failure("Expected a browser that does not round long integers.");
    const what = `Applies the record at offset ${first.offset} with this value, and then the `
      + `${pieces(it.records - 1, "record")} behind it. What is masked is kept, unless you change `
      + "it. If the record still fails, nothing has changed.";
    const { type, value } = $("redrive").elements;
    const act = async (reason, headers) => {
      const { topic, key } = it, { offset } = first;
      const others = JSON.stringify({ topic, key, offset, type: type.value, reason });
      // The value is sent as it is written, so that no number is rounded.
      const content = `{"value":${checked(value.value)},${others.slice(1)}`;
      // It names the record, so a repeat can't edit another one, and needs no common key.
      headers["Idempotency-Key"] = randomId();
      const { status } = await request("POST", PARKED + ":edit", content, headers);
      return said(status, "The record was applied with the new value.");
    };
    const title = `Edit first: ${it.topic}, key ${it.key}`;
    openDialog(title, what, "Apply the value", act, { isEdit: true });
    type.value = first.type;
    value.value = JSON.stringify(first.value ?? {}, null, 2);
  } catch (failure) {
    say("say", failure.message, "bad");
  }
}

// The same text. Fails if it is no JSON.
function checked(text) {
  try {
    JSON.parse(text);
    return text;
  } catch (error) {
    throw new Failure(`The value is no JSON: ${error.message}`);
  }
}

// Reads the personal fields of a dead letter, and shows them.
function askToReveal(it, show) {
  const what = "Shows the fields that are masked. Who has done so, when and why is kept.";
  const act = async (reason, headers) => {
    const content = { id: it.id, reason };
    const { status, data } = await request("POST", DEAD_LETTERS + ":reveal", content, headers);
    if (status === 200) show(data);
    return said(status, "The personal fields are shown.");
  };
  openDialog(`Personal fields of ${it.id}`, what, "Show", act, { home: "dead-title" });
}

// What sending a dead letter again does, by the kind of its topic.
const RESENDS = {
  commands: "Decides on the command again, as a new command.",
  followups: "Writes the follow-up to its topic again, behind what waits there.",
  events: "Derives again what follows from the event.",
};

// Sends a dead letter again.
function askToResend(it) {
  const what = RESENDS[it.topic.split(".").pop()]
    + " This is possible once. If it fails again, nothing has changed.";
  const act = async (reason, headers) => {
    const content = { id: it.id, reason };
    const { status } = await request("POST", DEAD_LETTERS + ":resend", content, headers);
    const pending = "It was sent again, or will be: there is no outcome yet.";
    return said(status, "It was sent again.", pending);
  };
  openDialog(`Send again: ${it.id}`, what, "Send again", act, { home: "dead-title" });
}

// Whether a request was refused for good: nothing will come of it.
const isRefused = ({ status }) => status >= 400 && status < 500 && status !== 429;

// Does what the dialog is about, and then reads the lists. The dialog stays open until the outcome
// is known, so that a repeat has the same key; that of an edit until the value is applied.
async function carryOut(event) {
  event.preventDefault();
  const mine = session, it = asked;
  const reason = $("redrive").elements.reason.value, verb = event.submitter?.value ?? "retry";
  const headers = { Prefer: "wait=10", "Idempotency-Key": it.idempotencyKey + verb };
  const isOpen = () => asked === it && $("ask").open;
  $("confirm").disabled = $("give-up").disabled = true;
  say("ask-say", "Sending the command …", "wait");
  try {
    const [text, kind, isPending] = await it.act(reason, headers, verb);
    if (mine !== session) return;
    if (isOpen() && isPending && !it.isEdit) {
      say("ask-say", text + " Press the same button again to go on: nothing is done twice.", kind);
    } else {
      if (isOpen()) $("ask").close();
      say("say", text, kind);
    }
  } catch (error) {
    if (mine !== session) return;
    if (isOpen() && !it.isEdit && isRefused(error)) $("ask").close();
    say(isOpen() ? "ask-say" : "say", error.message, "bad");
    if (isOpen()) return;
  } finally {
    if (asked === it) $("confirm").disabled = $("give-up").disabled = false;
  }
  for (const time of READ_AFTER_MS) {
    await pause(time);
    if (mine !== session) return;
    if (!isLive) await readAll();
  }
  if (document.activeElement === document.body) $(it.home).focus();
}
