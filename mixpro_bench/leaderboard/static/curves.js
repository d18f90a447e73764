"use strict";
// The course of training: a thin line per pretraining seed and their mean, bold; of many seeds the mean and the span.

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

// lines: {name, curve, style}; all of one stage, quantity and axis.
function courseFigure(lines, grids, caption, more) {
  const { width, height, left, right, top, bottom } = SIZE;
  const x = scale([0, ...lines.flatMap(({ curve }) => [grids[curve.grid].at(-1)])], left, width - right, 0);
  const y = scale(lines.flatMap(({ curve }) => [curve.low, curve.high]), height - bottom, top);
  const parts = axes(x, y, lines[0].curve.axis === "iter" ? "iteration" : "epoch", lines[0].curve.title);
  const said = [];
  for (const { name, curve, style } of lines) {
    const group = svg("g", { class: `line line${style}` }, svg("title", {}, name));
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
  }
  return lineFigure(lines, more, caption, `Last values: ${said.join("; ")}`, parts);
}

function seedsOf(lines) {
  const counts = lines.map(({ curve }) => curve.n);
  if (Math.max(...counts) === 1) return "";
  return lines.some(({ curve }) => curve.band) ? " (bold: mean over seeds; shade: their span)" : " (bold: mean over seeds; thin: each)";
}

// The figures of a table: each quantity of each stage, with a line for each of the first rows that have it.
const coursesOf = (table, rows, grids) =>
  linesOf(table, rows, (row) => row.curves, CURVES_SHOWN, (curve) => `${curve.stage}\n${curve.name}\n${curve.axis}`).map(({ lines, more }) => {
    const [{ curve }] = lines;
    return courseFigure(lines, grids, `${curve.stage}: ${curve.title} over training${seedsOf(lines)}`, more);
  });

// The figures of one row, all that is kept of it.
const courseOfRow = (row, grids) => row.curves.map((curve) => {
  const lines = oneLine(row, curve);
  return courseFigure(lines, grids, `${curve.stage}: ${curve.title}${seedsOf(lines)}`, 0);
});
