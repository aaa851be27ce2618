// The operator's desk: the figures of the processors and of the projections.

// The processors' figures: name, text, unit and digits after the point.
const PROCESSORS = [
  ["lag_records", "Waiting records", "", 0], ["lag_s", "The oldest waits at most", " s", 1],
  ["tasks_active", "Active tasks", "", 0], ["tasks_restoring", "Restoring", "", 0],
  ["restore_remaining_records", "Records left to restore", "", 0],
  ["tasks_stuck", "Stuck", "", 0],
];

// The class of a cell whose value should be zero.
const kindIf = (kind, value) => value ? kind : "";

// The tables, by the list in the answer. A column has a heading, a text, and a class.
const TABLES = {
  processors: [
    ["Active", it => figure(it.tasks_active)],
    ["Restoring", it => figure(it.tasks_restoring), it => kindIf("wait", it.tasks_restoring)],
    ["To restore", it => figure(it.restore_remaining_records)],
    ["Stuck", it => figure(it.tasks_stuck), it => kindIf("bad", it.tasks_stuck)],
    ["Waiting", it => figure(it.lag_records)],
    ["Lag, at most", it => figure(it.lag_s, " s", 1)],
  ],
  projections: [
    ["Position", it => figure(it.position)],
    ["Lag, at most", it => figure(it.lag_s, " s", 1)],
    ["Delay", it => figure(it.delay_s, " s", 3)],
    ["Stopped", it => figure(it.partitions_stopped), it => kindIf("bad", it.partitions_stopped)],
  ],
};

// Shows a table with a row for each part. In a narrow window each cell names its column itself.
function drawTable(list, parts) {
  const table = $("each-" + list), columns = TABLES[list], headings = make("tr");
  table.hidden = !parts.length;
  for (const text of ["Name", ...columns.map(([text]) => text)]) {
    const heading = make("th", text);
    heading.scope = "col";
    headings.append(heading);
  }
  const rows = parts.map(part => {
    const row = make("tr"), name = make("th", part.name);
    name.scope = "row";
    row.append(name, ...columns.map(([text, shown, kind]) => {
      const cell = make("td", shown(part), kind?.(part));
      cell.dataset.heading = text;
      return cell;
    }));
    return row;
  });
  const head = make("thead"), body = make("tbody");
  head.append(headings);
  body.append(...rows);
  table.replaceChildren(head, body);
}

// Shows the figures; those that nobody reports are dashes, and without any there are no tables.
function drawFigures(figures) {
  $("processors").replaceChildren(...PROCESSORS.map(([name, text, unit, digits]) => {
    const group = make("div");
    group.append(make("dt", text), make("dd", figure(figures[name], unit, digits)));
    return group;
  }));
  for (const list of Object.keys(TABLES)) drawTable(list, figures[list] ?? []);
  $("projections-empty").hidden = Boolean(figures.projections?.length);
}

// Shows the figures, or why there are none.
function showFigures(figures, problem = "Prometheus does not answer.") {
  $("processors-say").textContent = figures ? "as Prometheus saw them last" : problem;
  drawFigures(figures ?? {});
}

// Reads the figures. The desk is usable without them.
async function readFigures() {
  const mine = session;
  let figures = null, problem;
  try {
    figures = (await request("GET", "/v1/pipeline")).data;
  } catch (error) {
    problem = error.message;
  }
  if (mine === session) showFigures(figures, problem);
}
