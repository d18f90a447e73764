"use strict";
// The course of training: a thin line per pretraining seed and their mean, bold; of many seeds the mean and the span.

const MOST_LINES = 6;
const STEPS = 999;
const CURVES_SHOWN = ["top1", "coco/bbox_mAP", "mIoU", "loss", "factor"]; // for a whole table; a row's own shows all

// The lines of a curve as points {x, y}, cut where nothing is known.
function pieces(curve, values, grids) {
  const found = [[]];
  values.forEach((step, place) => {
    if (step === null) found.push([]);
    else found.at(-1).push({ x: grids[curve.grid][place], y: curve.low + (step / STEPS) * (curve.high - curve.low) });
  });
  return found.filter((piece) => piece.length);
}

function meanOf(lines) {
  return lines[0].map((_, place) => {
    const there = lines.map((line) => line[place]).filter((step) => step !== null);
    return there.length ? there.reduce((sum, step) => sum + step, 0) / there.length : null;
  });
}

const path = (piece, x, y) => piece.map((point, place) => `${place ? "L" : "M"}${x.at(point.x).toFixed(1)} ${y.at(point.y).toFixed(1)}`).join("");

// items: {name, curve}; all of one stage, quantity and axis.
function courseFigure(items, grids, caption, more) {
  const { width, height, left, right, top, bottom } = SIZE;
  const used = items.slice(0, MOST_LINES);
  const x = scale([0, ...used.flatMap(({ curve }) => [grids[curve.grid].at(-1)])], left, width - right, 0);
  const y = scale(used.flatMap(({ curve }) => [curve.low, curve.high]), height - bottom, top);
  const parts = axes(x, y, used[0].curve.axis === "iter" ? "iteration" : "epoch", used[0].curve.title);
  const said = [];
  used.forEach(({ name, curve }, place) => {
    const group = svg("g", { class: `line line${place}` }, svg("title", {}, name));
    const mean = curve.band ? curve.lines[0] : meanOf(curve.lines);
    if (curve.band) {
      const [low, high] = [pieces(curve, curve.lines[1], grids), pieces(curve, curve.lines[2], grids)];
      low.forEach((piece, k) => {
        const back = [...(high[k] || [])].reverse();
        group.append(svg("path", { class: "span", d: `${path([...piece, ...back], x, y)}Z` }));
      });
    } else if (curve.lines.length > 1) {
      for (const line of curve.lines) for (const piece of pieces(curve, line, grids)) group.append(svg("path", { class: "seed", d: path(piece, x, y) }));
    }
    const drawn = pieces(curve, mean, grids);
    for (const piece of drawn) {
      group.append(svg("path", { class: "mean", d: path(piece, x, y) }));
      if (piece.length === 1) group.append(svg("circle", { cx: x.at(piece[0].x), cy: y.at(piece[0].y), r: 3 }));
    }
    parts.push(group);
    const last = drawn.length ? drawn.at(-1).at(-1) : null;
    if (last) said.push(`${name}: ${Number(last.y.toPrecision(4))} at ${last.x}`);
  });
  const left_out = items.length - used.length + more;
  const note = left_out > 0 ? ` ${used.length} rows; filter to see others.` : "";
  const image = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${caption}. Last values: ${said.join("; ")}` }, ...parts);
  const legend = used.length > 1 ? el("ul", { class: "legend" }, ...used.map(({ name }, place) => el("li", {},
    svg("svg", { viewBox: "0 0 28 10", "aria-hidden": "true", class: `line line${place}` }, svg("path", { class: "mean", d: "M1 5H27" })), name))) : null;
  return el("figure", {}, el("figcaption", {}, caption + "." + note), image, legend);
}

function seedsOf(items) {
  const counts = items.map(({ curve }) => curve.n);
  if (Math.max(...counts) === 1) return "";
  return items.some(({ curve }) => curve.band) ? " (bold: mean over seeds; shade: their span)" : " (bold: mean over seeds; thin: each)";
}

// The figures of a table: each quantity of each stage, with a line for each of the first rows that have it.
function coursesOf(table, rows, grids) {
  const many = new Set(rows.map((row) => row.backbone)).size > 1;
  const first = rows.filter((row) => row.texts.transfer === "baseline");
  const ordered = [...rows.filter((row) => !first.includes(row)), ...first];
  const figures = new Map();
  for (const row of ordered) {
    for (const curve of row.curves || []) {
      if (!CURVES_SHOWN.includes(curve.name)) continue;
      const key = `${curve.stage}\n${curve.name}\n${curve.axis}`;
      if (!figures.has(key)) figures.set(key, []);
      figures.get(key).push({ name: rowName(row) + (many ? `, ${row.backbone}` : ""), curve, base: first.includes(row) });
    }
  }
  const place = ([key]) => CURVES_SHOWN.indexOf(key.split("\n")[1]);
  return [...figures].sort((a, b) => place(a) - place(b)).map(([, items]) => {
    // The baseline has a line in every figure, whatever else is left out, and the first one: its colour stays the same.
    const base = items.filter((item) => item.base).slice(0, 1);
    const used = [...base, ...items.filter((item) => !item.base).slice(0, MOST_LINES - base.length)];
    const { curve } = used[0];
    return courseFigure(used, grids, `${curve.stage}: ${curve.title} over training${seedsOf(used)}`, items.length - used.length);
  });
}

// The figures of one row, all that is kept of it.
function courseOfRow(row, grids) {
  return row.curves.map((curve) => courseFigure([{ name: rowName(row), curve }], grids, `${curve.stage}: ${curve.title}${seedsOf([{ curve }])}`, 0));
}
