"use strict";
// Curves of robustness: a metric over what was varied, a line per row, shaded by one standard deviation each way.

const MOST_RESPONSES = 6;
// For a whole table; a row's own shows all.
const RESPONSES_SHOWN = ["random", "salient", "least_salient", "shuffle", "severity", "reliability", "fgsm", "pgd", "fewshot"];

// items: {name, response}; all of one stage and quantity.
function responseFigure(items, caption, more) {
  const { width, height, left, right, top, bottom } = SIZE;
  const used = items.slice(0, MOST_RESPONSES);
  const lines = used.flatMap(({ response }) => response.lines);
  const spread = (line, sign) => line.y.map((value, k) => value + sign * (line.sd ? line.sd[k] : 0));
  const diagonal = used[0].response.name.startsWith("reliability");
  const xs = lines.flatMap((line) => line.x);
  const ys = lines.flatMap((line) => [...spread(line, -1), ...spread(line, 1)]);
  const x = scale(diagonal ? [0, 100] : xs, left, width - right, diagonal ? 0 : 0.03);
  const y = scale(diagonal ? [0, 100] : ys, height - bottom, top, diagonal ? 0 : 0.08);
  const parts = axes(x, y, used[0].response.x_label, used[0].response.y_label);
  if (diagonal) parts.push(line(x.at(0), y.at(0), x.at(100), y.at(100), "zero"));
  const said = [];
  used.forEach(({ name, response }, place) => {
    const group = svg("g", { class: `line line${place}` }, svg("title", {}, name));
    for (const one of response.lines) {
      const points = (values) => values.map((value, k) => ({ x: one.x[k], y: value }));
      if (one.sd) group.append(svg("path", { class: "span", d: `${path([...points(spread(one, 1)), ...points(spread(one, -1)).reverse()], x, y)}Z` }));
      group.append(svg("path", { class: "mean", d: path(points(one.y), x, y) }));
      for (const point of points(one.y)) group.append(svg("circle", { cx: x.at(point.x), cy: y.at(point.y), r: 2 }));
    }
    parts.push(group);
    const [first] = response.lines;
    said.push(`${name}: ${first.x.map((value, k) => `${first.y[k].toFixed(1)} at ${value}`).join(", ")}`);
  });
  const leftOut = items.length - used.length + more;
  const note = leftOut > 0 ? ` ${used.length} rows; filter to see others.` : "";
  const image = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${caption}. ${said.join("; ")}` }, ...parts);
  const legend = used.length > 1 ? el("ul", { class: "legend" }, ...used.map(({ name }, place) => el("li", {},
    svg("svg", { viewBox: "0 0 28 10", "aria-hidden": "true", class: `line line${place}` }, svg("path", { class: "mean", d: "M1 5H27" })), name))) : null;
  return el("figure", {}, el("figcaption", {}, caption + "." + note), image, legend);
}

function responseCaption(items) {
  const { stage, name } = items[0].response;
  const kinds = [...new Set(items.map(({ response }) => response.of).filter(known))].sort();
  const shade = kinds.length ? ` (shade: ± one standard deviation over ${kinds.join(" or ")})` : "";
  return (name === stage ? stage : `${stage}: ${name.replace("_", " ")}`) + shade;
}

// The figures of a table: the main curves, with a line for each of the first rows that have it.
function responsesOf(table, rows) {
  const many = new Set(rows.map((row) => row.backbone)).size > 1;
  const base = rows.filter((row) => row.texts.transfer === "baseline");
  const ordered = [...rows.filter((row) => !base.includes(row)), ...base];
  const figures = new Map();
  for (const row of ordered) {
    for (const response of row.responses || []) {
      if (!RESPONSES_SHOWN.includes(response.name)) continue;
      const key = `${response.stage}\n${response.name}`;
      if (!figures.has(key)) figures.set(key, []);
      figures.get(key).push({ name: rowName(row) + (many ? `, ${row.backbone}` : ""), response, base: base.includes(row) });
    }
  }
  const place = ([key]) => RESPONSES_SHOWN.indexOf(key.split("\n")[1]);
  return [...figures].sort((a, b) => place(a) - place(b)).map(([, items]) => {
    // The baseline has a line in every figure, whatever else is left out, and the first one: its colour stays the same.
    const kept = items.filter((item) => item.base).slice(0, 1);
    const used = [...kept, ...items.filter((item) => !item.base).slice(0, MOST_RESPONSES - kept.length)];
    return responseFigure(used, responseCaption(used), items.length - used.length);
  });
}

const responsesOfRow = (row) => row.responses.map((response) => {
  const items = [{ name: rowName(row), response }];
  return responseFigure(items, responseCaption(items), 0);
});
