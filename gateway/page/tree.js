// The second part of the script of a trace: the tree and its timeline.

const shortName = type => (type || "record").split(".").pop();
const place = record => `${record.topic}[${record.partition}]@${record.offset}`;

function facts(pairs) {
  const list = make("dl", undefined, "facts");
  for (const [name, value] of pairs) {
    if (value === undefined || value === null) continue;
    list.append(make("dt", name), make("dd", String(value)));
  }
  return list;
}

function kindOf(record) {
  if (record.topic.endsWith(".dead")) return "dead";
  return record.topic.endsWith(".outcomes") ? "outcome" : "";
}

// When the projections had applied a record.
function appliedBy(record) {
  const time = ({ is_applied: isApplied, after_ms: ms }) =>
    !isApplied ? "not yet" : ms === undefined ? "time not kept" : `by +${ms.toLocaleString()} ms`;
  return record.applied.map(it => `${it.projection} ${time(it)}`).join(", ") || undefined;
}

// One record: its name, time and place, and more when it is opened.
function row(record, cause, rows, span) {
  const item = make("li", undefined, kindOf(record)), details = make("details");
  const summary = make("summary"), time = make("time", `+${record.after_ms.toLocaleString()} ms`);
  time.dateTime = record.at;
  const when = make("span", undefined, "when");
  // The policy of the page allows no style attributes in HTML; a script may set properties.
  when.style.setProperty("--at", span ? record.after_ms / span : 0);
  const name = shortName(record.type) + (record.topic.endsWith(".dead") ? " (dead letter)" : "");
  summary.append(make("strong", name), when, time, make("code", place(record)));
  details.append(summary, facts([
    ["Type", record.type], ["Key", record.key], ["Version", record.version],
    ["Written at", new Date(record.at).toLocaleString() + `, +${record.after_ms} ms`],
    ["Written by", record.source], ["Schema", schemaText(record)],
    ["Size", `${record.bytes.toLocaleString()} bytes`], ["Record id", record.id],
    ["Caused by", cause ? `${shortName(cause.type)}, ${place(cause)}` : record.caused_by],
    ["Applied", appliedBy(record)],
    ["Decided", record.is_decided_at_once ? "in the transaction that wrote it" : undefined],
  ]));
  if (cause) {
    const go = make("button", "Go to cause", "quiet");
    go.type = "button";
    go.addEventListener("click", () => rows[record.parent].querySelector("summary").focus());
    details.append(go);
  }
  item.append(details);
  return item;
}

// Shows the records, each below its cause. What was open stays open, and the record at the place
// `opened` is too.
function drawTree(records, opened) {
  const isOpen = new Set([...$("tree").querySelectorAll("details[open] > summary > code")]
    .map(code => code.textContent));
  isOpen.add(opened);
  const span = records.reduce((most, record) => Math.max(most, record.after_ms), 0);
  const rows = [], lists = [], top = document.createDocumentFragment();
  records.forEach((record, index) => {
    const item = row(record, records[record.parent], rows, span);
    item.firstChild.open = isOpen.has(place(record));
    rows[index] = item;
    if (record.parent === null) {
      top.append(item);
      return;
    }
    if (!lists[record.parent]) rows[record.parent].append(lists[record.parent] = make("ul"));
    lists[record.parent].append(item);
  });
  $("tree").replaceChildren(top);
}
