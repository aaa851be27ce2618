// The operator's desk: how parked keys, dead letters and actions are shown.

// Records are shown and edited as they are, also an integer that JavaScript rounds because it has
// more than 53 bits: JSON.stringify writes its digits as they came. Browsers of before 2025 have no
// JSON.rawJSON.
function keepDigits(name, value, context) {
  const isRounded = Number.isInteger(value) && !Number.isSafeInteger(value);
  return isRounded && JSON.rawJSON ? JSON.rawJSON(context.source) : value;
}
reviver = keepDigits;

const PARKED = "/v1/operations/parked";
const DEAD_LETTERS = "/v1/operations/dead-letters";

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
  button("Try again", "", () => askToRedrive(it, "retry"));
  button("Edit first", "quiet", () => askForEdit(it));
  button("Give up first", "quiet", () => askToRedrive(it, "drop"));
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
    send.addEventListener("click", () => askToResend(it));
    row.append(send);
    entry.append(row);
  }
  return entry;
}

// What is read when it is opened for the first time: `read` returns a promise of elements. If it
// `isOld`, or could not be read, it is read again when it is opened again.
function opened(text, label, read) {
  const content = make("details"), summary = make("summary", text);
  summary.setAttribute("aria-label", label);
  content.append(summary);
  content.addEventListener("toggle", async () => {
    if (!content.open || (content.childElementCount > 1 && !content.isOld)) return;
    content.isOld = false;
    summary.textContent = text;
    content.replaceChildren(summary);
    const shown = make("div", "Reading …");
    content.append(shown);
    try {
      shown.replaceChildren(...await read());
    } catch (error) {
      shown.textContent = error.message;
      content.isOld = true;
    }
  });
  return content;
}

// The headers, the schema and the value of a record.
function contentText({ headers = {}, value, omitted, ...schema }) {
  const lines = Object.entries(headers).map(([name, text]) => `${name}: ${text}\n`);
  const text = schemaText(schema);
  if (text) lines.push(`schema: ${text}\n`);
  if (lines.length) lines.push("\n");
  lines.push(value ? JSON.stringify(value, null, 2) : `There is no value: ${omitted}.`);
  return make("pre", lines.join(""));
}

function contentOf(it) {
  return opened("Content", `Content of ${it.id}`, async () => {
    const { data } = await request("GET", DEAD_LETTERS + "/" + encodeURIComponent(it.id));
    const text = contentText(data);
    if (!data.value) return [text];
    const show = make("button", "Show personal fields", "quiet");
    show.addEventListener("click", () => {
      askToReveal(it, shown => text.replaceWith(contentText(shown)));
    });
    return [text, show];
  });
}

function recordsOf(it) {
  return opened("Records", `Records of ${it.topic}, key ${it.key}`, async () => {
    const record = one => [
      make("p", `${shortType(one.type)} at offset ${one.offset}: ${one.error || "it waits"}`),
      contentText(one),
    ];
    const read = async cursor => {
      const query = new URLSearchParams({ topic: it.topic, key: it.key });
      if (cursor) query.set("cursor", cursor);
      const { items, next } = (await request("GET", `${PARKED}/records?${query}`)).data;
      const records = items.flatMap(record);
      // What was read by the button gets its focus, so that the keyboard goes on from there.
      if (cursor && records.length) records[0].tabIndex = -1;
      return [...records, ...(next ? [moreOf(it, () => read(next))] : [])];
    };
    return read();
  });
}

// The button behind a page of records: `read` returns a promise of the elements that replace it.
function moreOf(it, read) {
  const button = make("button", "Show more", "quiet more");
  button.setAttribute("aria-label", `Show more records of ${it.topic}, key ${it.key}`);
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const elements = await read();
      button.replaceWith(...elements);
      elements[0]?.focus();
    } catch (error) {
      say("say", error.message, "bad");
      button.disabled = false;
    }
  });
  return button;
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
    entry.append(opened("Before and after", `Edit of ${it.topic}, key ${it.key ?? "not shown"}`, () => [
      make("p", "Before"), contentText({ value: it.before, omitted: "it could not be read" }),
      make("p", "After"), contentText({ value: it.after }),
    ]));
  }
  entry.append(traceLink("commands", it.command));
  return entry;
}
