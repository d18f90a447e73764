"use strict";
// Figures with a line per row: which rows they show, and in which style.

const MOST_LINES = 6;

// The rows with a baseline first, which then has a line in every figure, whatever else is left out.
function baselineFirst(rows) {
  const bases = rows.filter((row) => row.texts.transfer === "baseline");
  const rest = rows.filter((row) => !bases.includes(row));
  return [...bases.slice(0, 1), ...rest, ...bases.slice(1)];
}

// The place of each row that has any curve: its style in all figures of its table, as far as there are styles.
function ranksOf(table) {
  const curved = baselineFirst(table.rows).filter((row) => (row.curves || []).length || (row.responses || []).length);
  return new Map(curved.map((row, rank) => [row, rank]));
}

// Further rows take the styles that are free in a figure.
function styled(items) {
  const free = [...Array(MOST_LINES).keys()].filter((style) => !items.some(({ rank }) => rank === style));
  return items.map((item) => ({ ...item, style: item.rank < MOST_LINES ? item.rank : free.shift() }));
}

// For each figure of a table, in the order of `shown`: its lines {name, curve, style}, and how many more there would be.
// all: gives a row's curves, which have a stage and a name; keyOf: tells the curves of a figure from others.
function linesOf(table, rows, all, shown, keyOf) {
  const many = new Set(rows.map((row) => row.backbone)).size > 1;
  const ranks = ranksOf(table);
  const figures = new Map();
  for (const row of baselineFirst(rows)) {
    for (const curve of all(row) || []) {
      if (!shown.includes(curve.name)) continue;
      const key = keyOf(curve);
      if (!figures.has(key)) figures.set(key, []);
      figures.get(key).push({ name: rowName(row) + (many ? `, ${row.backbone}` : ""), curve, rank: ranks.get(row) });
    }
  }
  const place = (items) => shown.indexOf(items[0].curve.name);
  return [...figures.values()].sort((a, b) => place(a) - place(b)).map((items) => {
    const lines = styled(items.slice(0, MOST_LINES));
    return { lines, more: items.length - lines.length };
  });
}

const oneLine = (row, curve) => [{ name: rowName(row), curve, style: 0 }];

// The figure around its axes and lines, with a legend where there are several.
function lineFigure(lines, more, caption, said, parts) {
  const note = more > 0 ? ` ${lines.length} rows; filter to see others.` : "";
  const image = svg("svg", { viewBox: `0 0 ${SIZE.width} ${SIZE.height}`, role: "img", "aria-label": `${caption}. ${said}` }, ...parts);
  const legend = lines.length > 1 ? el("ul", { class: "legend" }, ...lines.map(({ name, style }) => el("li", {},
    svg("svg", { viewBox: "0 0 28 10", "aria-hidden": "true", class: `line line${style}` }, svg("path", { class: "mean", d: "M1 5H27" })), name))) : null;
  return el("figure", {}, el("figcaption", {}, caption + "." + note), image, legend);
}
