"use strict";
// The plots of a table as SVG, each with its numbers as text for who cannot see it.

const MOST_POINTS = 40;
const TRANSFER = ["box_ap", "miou"];
const COSTS = ["pretrain_gpu_hours", "pretrain_minutes"];
const SIZE = { width: 420, height: 290, left: 60, right: 14, top: 12, bottom: 44 };

function svg(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// A scale from values to pixels with about five round ticks.
function scale(values, from, to, share = 0.08) {
  let [low, high] = [Math.min(...values), Math.max(...values)];
  const room = (high - low || Math.abs(high) || 1) * share || (high === low ? 1 : 0);
  [low, high] = [low - room, high + room];
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough);
  const ticks = [];
  for (let k = Math.ceil(low / step); k * step <= high; k += 1) ticks.push(k * step);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  // Zeros behind the point cost more room than there is.
  const write = (value) => (digits < 4 || !value ? value.toFixed(digits < 4 ? digits : 0) : value.toExponential(Math.max(0, Math.floor(Math.log10(Math.abs(value)) + 1e-9) + digits)));
  return { at: (value) => from + ((value - low) / (high - low)) * (to - from), ticks, write };
}

// The width of a text in pixels, roughly and rather too much: letters of the far east are as wide as they are high.
const widthOf = (text) => [...text].reduce((sum, letter) => sum + (letter > "\u2e7f" ? 12 : /[A-Zmw@%]/.test(letter) ? 9.5 : 6.8), 0);

// As much of a text as there is room for.
function fit(text, room) {
  let letters = [...text];
  while (letters.length > 1 && widthOf(letters.join("")) > room) letters = letters.slice(0, -1);
  return letters.length < [...text].length ? `${letters.slice(0, -1).join("")}\u2026` : text;
}

const ends = (point) => [point.value, point.low, point.high].filter(known);
const line = (x1, y1, x2, y2, kind) => svg("line", { x1, y1, x2, y2, class: kind });

function words(point, digits) {
  const range = known(point.low) ? ` (${point.low.toFixed(digits)} to ${point.high.toFixed(digits)})` : " (one seed)";
  return `${point.value.toFixed(digits)}${range}`;
}

function axes(x, y, xTitle, yTitle) {
  const { width, height, left, right, top, bottom } = SIZE;
  const parts = [];
  for (const tick of x.ticks) {
    parts.push(line(x.at(tick), top, x.at(tick), height - bottom, "grid"));
    parts.push(svg("text", { x: x.at(tick), y: height - bottom + 16, "text-anchor": "middle" }, x.write(tick)));
  }
  for (const tick of y ? y.ticks : []) {
    parts.push(line(left, y.at(tick), width - right, y.at(tick), "grid"));
    parts.push(svg("text", { x: left - 6, y: y.at(tick) + 4, "text-anchor": "end" }, y.write(tick)));
  }
  parts.push(svg("text", { x: (left + width - right) / 2, y: height - 8, "text-anchor": "middle" }, xTitle));
  if (y) {
    const middle = (top + height - bottom) / 2;
    parts.push(svg("text", { x: 12, y: middle, "text-anchor": "middle", transform: `rotate(-90 12 ${middle})` }, yTitle));
  }
  return parts;
}

function figure(caption, text, left, height, parts, legend = []) {
  const image = svg("svg", { viewBox: `0 0 ${SIZE.width} ${height}`, role: "img", "aria-label": `${caption}. ${text}` }, ...parts);
  const note = left > 0 ? ` The first ${MOST_POINTS} rows; ${left} more are left out.` : "";
  return el("figure", {}, el("figcaption", {}, caption + note), image,
    legend.length ? el("ol", { "aria-hidden": "true" }, ...legend.map((name) => el("li", {}, name))) : null);
}

// points: {name, x: {value, low, high}, y: {value, low, high}}
// zero: the axes ('x', 'y', 'xy' or none) that show a line at no difference
function scatter(points, caption, xTitle, yTitle, zero) {
  const { width, height, left, right, top, bottom } = SIZE;
  const used = points.slice(0, MOST_POINTS);
  const x = scale([...used.flatMap((point) => ends(point.x)), ...(zero.includes("x") ? [0] : [])], left, width - right);
  const y = scale([...used.flatMap((point) => ends(point.y)), ...(zero.includes("y") ? [0] : [])], height - bottom, top);
  const parts = axes(x, y, xTitle, yTitle);
  if (zero.includes("x")) parts.push(line(x.at(0), top, x.at(0), height - bottom, "zero"));
  if (zero.includes("y")) parts.push(line(left, y.at(0), width - right, y.at(0), "zero"));
  for (const point of used) {
    const [cx, cy] = [x.at(point.x.value), y.at(point.y.value)];
    if (known(point.x.low)) parts.push(line(x.at(point.x.low), cy, x.at(point.x.high), cy, "bar"));
    if (known(point.y.low)) parts.push(line(cx, y.at(point.y.low), cx, y.at(point.y.high), "bar"));
    parts.push(svg("circle", { cx, cy, r: 4.5, class: known(point.y.low) ? "point" : "one" }, svg("title", {}, point.name)));
  }
  // Few points bear their names, many their numbers in a list below.
  const numbered = used.length > 4;
  if (numbered) {
    used.forEach((point, place) => parts.push(svg("text", { x: x.at(point.x.value) + 6, y: y.at(point.y.value) - 5 }, String(place + 1))));
  } else {
    // Pushed apart downwards where they would meet.
    let free = top;
    for (const point of [...used].sort((a, b) => b.y.value - a.y.value)) {
      const [cx, cy] = [x.at(point.x.value), y.at(point.y.value)];
      const beyond = cx > (left + width) / 2;
      const place = Math.max(cy + 4, free + 13);
      free = place;
      const label = fit(point.name, 165);
      if (place - cy > 6) parts.push(line(cx, cy, cx + (beyond ? -8 : 8), place - 4, "lead"));
      parts.push(svg("text", { x: cx + (beyond ? -9 : 9), y: place, "text-anchor": beyond ? "end" : "start" }, label));
    }
  }
  const text = used.map((point) => `${point.name}: ${xTitle} ${words(point.x, 1)}, ${yTitle} ${words(point.y, 1)}`).join("; ");
  return figure(caption, text, points.length - used.length, height, parts, numbered ? used.map((point) => point.name) : []);
}

function forest(points, caption, xTitle) {
  const used = points.slice(0, MOST_POINTS);
  const step = 24;
  const height = SIZE.top + SIZE.bottom + step * used.length;
  const left = Math.min(160, 20 + Math.max(...used.map((point) => widthOf(point.name))));
  const x = scale([0, ...used.flatMap((point) => ends(point.y))], left, SIZE.width - SIZE.right);
  const parts = [];
  for (const tick of x.ticks) {
    parts.push(line(x.at(tick), SIZE.top, x.at(tick), height - SIZE.bottom, "grid"));
    parts.push(svg("text", { x: x.at(tick), y: height - SIZE.bottom + 16, "text-anchor": "middle" }, x.write(tick)));
  }
  parts.push(line(x.at(0), SIZE.top, x.at(0), height - SIZE.bottom, "zero"));
  parts.push(svg("text", { x: (left + SIZE.width - SIZE.right) / 2, y: height - 8, "text-anchor": "middle" }, xTitle));
  used.forEach((point, place) => {
    const cy = SIZE.top + step * (place + 0.5);
    parts.push(svg("text", { x: left - 8, y: cy + 4, "text-anchor": "end" }, fit(point.name, left - 12)));
    if (known(point.y.low)) parts.push(line(x.at(point.y.low), cy, x.at(point.y.high), cy, "bar"));
    parts.push(svg("circle", { cx: x.at(point.y.value), cy, r: 4.5, class: known(point.y.low) ? "point" : "one" }, svg("title", {}, point.name)));
  });
  const text = used.map((point) => `${point.name}: ${words(point.y, 2)}`).join("; ");
  return figure(caption, text, points.length - used.length, height, parts);
}

function plotsOf(table, rows) {
  const title = (key) => table.columns.find((column) => column.key === key).title;
  const has = (key) => table.columns.some((column) => column.key === key);
  const many = new Set(rows.map((row) => row.backbone)).size > 1;
  const named = (row) => rowName(row) + (many ? `, ${row.backbone}` : "");
  const mean = (cell) => ({ value: cell.mean, low: cell.low, high: cell.high });
  const gain = (cell) => ({ value: cell.gain, low: cell.gain_low, high: cell.gain_high });
  const gained = (key) => rows.filter((row) => row.cells[key] && known(row.cells[key].gain));
  const plots = [];
  for (const key of TRANSFER.filter(has)) {
    const both = rows.filter((row) => row.cells.top1 && row.cells[key]);
    const points = gained(key).map((row) => ({ name: named(row), y: gain(row.cells[key]), row }));
    const gainTitle = `${title(key)}, difference to ${table.baseline}`;
    const moved = points.filter((point) => point.row.cells.top1 && known(point.row.cells.top1.gain));
    if (moved.length > 1) {
      const placed = moved.map((point) => ({ ...point, x: gain(point.row.cells.top1) }));
      plots.push(scatter(placed, `Does it transfer? ${title(key)} against pretraining ${title("top1")}, differences to ${table.baseline}`,
        `pretraining ${title("top1")}, difference`, `${title(key)}, difference`, "xy"));
    }
    if (both.length > 1) {
      const placed = both.map((row) => ({ name: named(row), x: mean(row.cells.top1), y: mean(row.cells[key]) }));
      plots.push(scatter(placed, `${title(key)} against pretraining ${title("top1")}`, `pretraining ${title("top1")}`, title(key), ""));
    }
    if (points.length) plots.push(forest(points, gainTitle, gainTitle));
    const cost = COSTS.find((one) => points.length && points.every((point) => point.row.cells[one]));
    const costly = cost ? points : [];
    if (costly.length > 1) {
      const placed = costly.map((point) => ({ ...point, x: { value: point.row.cells[cost].mean } }));
      plots.push(scatter(placed, `${gainTitle}, against cost`, title(cost), `${title(key)}, difference`, "y"));
    }
  }
  const upstream = gained("top1").map((row) => ({ name: named(row), y: gain(row.cells.top1) }));
  if (upstream.length) {
    const text = `${title("top1")}, difference to ${table.baseline}`;
    plots.push(forest(upstream, `Pretraining ${text}`, text));
  }
  return plots;
}
