"use strict";
// Curves of robustness: a metric over what was varied, a line per row, shaded by one standard deviation each way.

// For a whole table; a row's own shows all.
const RESPONSES_SHOWN = ["random", "salient", "least_salient", "shuffle", "severity", "reliability", "fgsm", "pgd", "fewshot"];

// lines: {name, curve, style}; all of one stage and quantity.
function responseFigure(lines, caption, more) {
  const { width, height, left, right, top, bottom } = SIZE;
  const drawn = lines.flatMap(({ curve }) => curve.lines);
  const spread = (line, sign) => line.y.map((value, k) => value + sign * (line.sd ? line.sd[k] : 0));
  const diagonal = lines[0].curve.name.startsWith("reliability");
  const xs = drawn.flatMap((line) => line.x);
  const ys = drawn.flatMap((line) => [...spread(line, -1), ...spread(line, 1)]);
  const x = scale(diagonal ? [0, 100] : xs, left, width - right, diagonal ? 0 : 0.03);
  const y = scale(diagonal ? [0, 100] : ys, height - bottom, top, diagonal ? 0 : 0.08);
  const parts = axes(x, y, lines[0].curve.x_label, lines[0].curve.y_label);
  if (diagonal) parts.push(line(x.at(0), y.at(0), x.at(100), y.at(100), "zero"));
  const said = [];
  for (const { name, curve, style } of lines) {
    const group = svg("g", { class: `line line${style}` }, svg("title", {}, name));
    for (const one of curve.lines) {
      const points = (values) => values.map((value, k) => ({ x: one.x[k], y: value }));
      if (one.sd) group.append(svg("path", { class: "span", d: `${path([...points(spread(one, 1)), ...points(spread(one, -1)).reverse()], x, y)}Z` }));
      group.append(svg("path", { class: "mean", d: path(points(one.y), x, y) }));
      for (const point of points(one.y)) group.append(svg("circle", { cx: x.at(point.x), cy: y.at(point.y), r: 2 }));
    }
    parts.push(group);
    const [first] = curve.lines;
    said.push(`${name}: ${first.x.map((value, k) => `${first.y[k].toFixed(1)} at ${value}`).join(", ")}`);
  }
  return lineFigure(lines, more, caption, said.join("; "), parts);
}

function responseCaption(lines) {
  const { stage, name } = lines[0].curve;
  const kinds = [...new Set(lines.map(({ curve }) => curve.of).filter(known))].sort();
  const shade = kinds.length ? ` (shade: ± one standard deviation over ${kinds.join(" or ")})` : "";
  return (name === stage ? stage : `${stage}: ${name.replace("_", " ")}`) + shade;
}

// The figures of a table: the main curves, with a line for each of the first rows that have it.
const responsesOf = (table, rows) =>
  linesOf(table, rows, (row) => row.responses, RESPONSES_SHOWN, (curve) => `${curve.stage}\n${curve.name}`).map(({ lines, more }) =>
    responseFigure(lines, responseCaption(lines), more));

const responsesOfRow = (row) => row.responses.map((curve) => {
  const lines = oneLine(row, curve);
  return responseFigure(lines, responseCaption(lines), 0);
});
