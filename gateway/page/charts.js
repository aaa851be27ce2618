// The dashboard's script: charts by uPlot over windows of time. It knows neither the API nor the
// session.

// The colors of lines by label, as names of the style's variables.
const COLORS = { confirmed: "--good", rejected: "--bad", cancelled: "--wait", p99: "--wait" };
const CHART_HEIGHT = 220;

// The charts that are drawn, by title.
const charts = new Map();

const color = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// The width of the axis that shows these texts: room for the longest.
const axisWidth = (_, texts) => 16 + 8 * Math.max(4, ...(texts ?? []).map(text => text.length));

// The options of a chart whose lines are `labels`; `format` writes a value with its unit.
function chartOptions(labels, format, isBars, width) {
  const axis = { stroke: color("--soft"), grid: { stroke: color("--line"), width: 1 } };
  const ticks = { stroke: color("--line"), width: 1, size: 4 };
  const bars = isBars && uPlot.paths.bars({ size: [0.7, 24] });
  const line = label => {
    const stroke = color(COLORS[label] || "--water");
    const value = (_, value) => value == null ? "–" : format(value);
    const drawn = bars ? { paths: bars, fill: stroke, points: { show: false } } : {};
    return { label, value, stroke, width: 2, spanGaps: false, ...drawn };
  };
  return {
    width, height: CHART_HEIGHT, padding: [12, 8, 0, 0],
    scales: { y: { range: (_, __, most) => [0, Math.max(most || 0, 1) * 1.1] } },
    axes: [
      { ...axis, ticks },
      { ...axis, ticks, size: axisWidth, values: (_, values) => values.map(format) },
    ],
    series: [{ value: (_, at) => at == null ? "–" : new Date(at * 1000).toLocaleString() },
      ...labels.map(line)],
    cursor: { drag: { x: false, y: false } },
  };
}

// Moves the chart's cursor by keys, as a pointer does; the legend shows the values there.
function moveCursor(event) {
  const chart = charts.get(this.dataset.title), times = chart.plot.data[0];
  const last = times.length - 1, at = chart.plot.cursor.idx ?? last + 1;
  const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  const left = chart.plot.valToPos(times[Math.min(Math.max(to, 0), last)], "x");
  chart.plot.setCursor({ left, top: CHART_HEIGHT / 2 });
  // A screen reader reads the values when the legend shows them.
  requestAnimationFrame(() => {
    const values = this.querySelectorAll(".u-legend .u-series");
    chart.elements.values.textContent = Array.from(values, it => it.textContent).join(", ");
  });
}

// The elements of a new chart.
function chartElements(title) {
  const section = make("section"), heading = make("h2", title + " "), plot = make("div");
  const unit = make("small", "", "soft");
  heading.append(unit);
  Object.assign(plot, { className: "plot", tabIndex: 0 });
  plot.dataset.title = title;
  plot.setAttribute("role", "group");
  plot.addEventListener("keydown", moveCursor);
  const values = make("p", "", "unseen");
  values.setAttribute("role", "status");
  section.append(heading, plot, values);
  $("charts").append(section);
  new ResizeObserver(() => {
    const width = plot.clientWidth, chart = charts.get(title);
    if (width && chart?.plot.width !== width) {
      chart?.plot.setSize({ width, height: CHART_HEIGHT });
    }
  }).observe(plot);
  return { section, plot, unit, values };
}

// Draws a chart: `lines` maps labels to values, one for each of `times` in seconds.
function drawChart({ title, unit, times, lines, format = String, isBars = false }) {
  const labels = Object.keys(lines), key = labels.join("\n");
  const data = [times, ...Object.values(lines)];
  const chart = charts.get(title), elements = chart?.elements ?? chartElements(title);
  elements.unit.textContent = unit;
  elements.plot.setAttribute("aria-label", `${title}, ${unit}: arrow keys move along time`);
  if (chart?.key === key) {
    chart.plot.setData(data);
    return;
  }
  chart?.plot.destroy();
  const options = chartOptions(labels, format, isBars, elements.plot.clientWidth || 320);
  charts.set(title, { key, elements, plot: new uPlot(options, data, elements.plot) });
}

// Draws these charts and no others.
function drawCharts(all) {
  for (const [title, { elements, plot }] of charts) {
    if (all.some(chart => chart.title === title)) continue;
    plot.destroy();
    elements.section.remove();
    charts.delete(title);
  }
  all.forEach(drawChart);
}

// Forgets how the charts were drawn, so that the next drawing has the colors of the theme.
function restyleCharts() {
  for (const chart of charts.values()) chart.key = null;
}
