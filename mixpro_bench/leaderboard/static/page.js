"use strict";
// Tables, filters, sorting and the dialog of a row. All text goes into the page as text nodes, so no name can become markup.

// Of each table so much is in the page at once, so that a filter answers at once; the rest comes on demand.
const MOST_ROWS = 50;
const FEWEST_ROWS = 12;
const MOST_CELLS = 600;
const SPREAD = ["number", "best"]; // kinds of columns that are shown with their spread
const CHANCE = 0.05; // corrected p-values below it are marked
const $ = (id) => document.getElementById(id);

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

async function unpack(base64) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

const signed = (value, decimals) => (value > 0 ? "+" : value < 0 ? "\u2212" : "") + Math.abs(value).toFixed(decimals);
const known = (value) => value !== null && value !== undefined;
const rowName = (row) => row.method + (row.preset !== row.method ? ` (${row.preset})` : "");

const seeds = (n) => (n === 1 ? "1 seed" : `${n} seeds`);

// What a column sorts by: a number, a text, or null, which always comes last.
function sortValue(row, column) {
  if (column.key === "n") return row.n;
  if (column.key === "method") return rowName(row).toLowerCase();
  if (column.kind === "text") return (row.texts[column.key] || "").toLowerCase() || null;
  if (column.kind === "interval") {
    const found = row.images[column.key.replace(/_images$/, "")];
    return found ? found.low : null;
  }
  const cell = row.cells[column.key];
  return cell ? cell.mean : null;
}

function compare(a, b) {
  if (a === null || b === null) return (a === null) - (b === null);
  return typeof a === "string" ? a.localeCompare(b) : a - b;
}

function intervalCell(row, column) {
  const found = row.images[column.key.replace(/_images$/, "")];
  return el("td", { class: "number" }, found ? `${found.low.toFixed(column.decimals)} to ${found.high.toFixed(column.decimals)}` : "");
}

function numberCell(row, column) {
  const cell = row.cells[column.key];
  const box = el("td", { class: "number" });
  if (!cell) {
    // Columns that are no summary of runs carry their text ready made.
    box.append(row.texts[column.key] || "");
    return box;
  }
  box.append(cell.mean.toFixed(column.decimals));
  if (known(cell.sd) && SPREAD.includes(column.kind)) {
    box.append(el("span", { class: "quiet" }, ` \u00b1 ${cell.sd.toFixed(column.decimals)}`));
  }
  if (cell.n !== row.n) box.append(el("span", { class: "quiet" }, ` (n=${cell.n})`));
  if (known(cell.gain)) {
    const clear = known(cell.p) && cell.p < CHANCE;
    const kind = clear ? (cell.gain > 0 !== Boolean(column.lower) ? "gain up" : "gain down") : "gain";
    box.append(el("span", { class: kind }, signed(cell.gain, column.decimals) + (clear ? " *" : "")));
  }
  return box;
}

function rowElement(row, table, columns) {
  const marks = row.marks.map((mark) => el("span", { class: "mark" }, mark));
  const cells = columns.map((column) => {
    if (column.key === "method") {
      const button = el("button", { type: "button", "aria-haspopup": "dialog" }, rowName(row));
      return el("th", { scope: "row" }, button, el("span", { class: "narrow quiet" }, row.backbone), marks.length ? el("span", { class: "marks" }, ...marks) : null);
    }
    if (column.key === "n") return el("td", { class: "number" }, table.ranked === false ? row.texts.n : seeds(row.n));
    if (column.kind === "text") {
      const text = row.texts[column.key] || "";
      return el("td", { class: column.key === "backbone" ? "wide" : text.length > 24 ? "words" : null }, text);
    }
    return column.kind === "interval" ? intervalCell(row, column) : numberCell(row, column);
  });
  return el("tr", { id: row.id }, ...cells);
}

class View {
  // One table: its section of the page and the order and number of its rows.
  constructor(table, number, grids, open) {
    this.table = table;
    this.grids = grids;
    this.drawn = null;
    this.sort = null;
    this.protocols = table.protocols;
    for (const row of table.rows) {
      row.search = [rowName(row), ...Object.values(row.texts), ...row.marks].join("\n").toLowerCase();
    }
    this.head = el("tr");
    this.body = el("tbody");
    this.more = el("button", { type: "button", class: "more", hidden: true, click: () => { this.limit *= 4; this.fill(); } });
    this.plots = el("div", { class: "plots" });
    this.courses = el("div", { class: "plots" });
    this.plot = el("div", { hidden: true }, el("h3", {}, "Gains and costs"), el("p", { class: "quiet" }, "Bars: 95 % intervals; hollow: one seed."), this.plots);
    this.course = el("details", { open: true, hidden: true, class: "course" }, el("summary", {}, el("h3", {}, "Training curves")), this.courses);
    this.responses = el("div", { class: "plots" });
    this.response = el("details", { open: true, hidden: true, class: "course" }, el("summary", {}, el("h3", {}, "Robustness and calibration")), this.responses);
    const heading = el("h2", { id: `h${number}` }, table.title);
    const base = table.baseline ? ` Below a number: its difference to ${table.baseline}; a star where p, corrected for the number of comparisons, is below ${CHANCE}.` : "";
    const what = table.ranked === false ? "Numbers others published, not measured here and not to be ranked with what was." : "Means over pretraining seeds.";
    const caption = el("caption", {}, el("span", {}, `${what}${base} Open a method to see where its numbers come from.`));
    const body = this.body;
    body.addEventListener("click", (event) => {
      const found = event.target.closest("tr");
      if (found && !String(getSelection())) open(this.table, this.rowOf.get(found));
    });
    this.section = el("section", { class: table.ranked === false ? "published" : null, "aria-labelledby": `h${number}` }, heading,
      el("ul", {}, ...table.conditions.map((text) => el("li", {}, text))),
      el("div", { class: "scroll", tabindex: 0, role: "region", "aria-labelledby": `h${number}` },
        el("table", { class: "rows" }, caption, el("thead", {}, this.head), body)),
      this.more, el("ul", {}, ...table.notes.map((text) => el("li", {}, text))), this.plot, this.response, this.course);
    this.setColumns(false);
  }

  setColumns(all) {
    const method = this.table.columns.filter((column) => column.key === "method");
    const rest = this.table.columns.filter((column) => !["method", "marks"].includes(column.key));
    this.columns = [...method, ...rest.filter((column) => all || !column.detail)];
    this.made = new Map();
    this.rowOf = new WeakMap();
    this.headings = this.columns.map((column) => el("th",
      { scope: "col", class: column.key === "backbone" ? "wide" : column.kind === "text" && column.key !== "n" ? null : "number" },
      el("button", { type: "button", click: () => this.sortBy(column) }, column.title)));
    this.head.replaceChildren(...this.headings);
    this.showSort();
  }

  sortBy(column) {
    const first = column.kind === "text" && column.key !== "n" ? 1 : -1;
    const again = this.sort && this.sort.key === column.key;
    this.sort = { key: column.key, column, sign: again ? -this.sort.sign : first };
    this.showSort();
    this.fill();
  }

  showSort() {
    this.columns.forEach((column, place) => {
      const sorted = this.sort && this.sort.key === column.key;
      if (sorted) this.headings[place].setAttribute("aria-sort", this.sort.sign > 0 ? "ascending" : "descending");
      else this.headings[place].removeAttribute("aria-sort");
    });
  }

  filter(wanted) {
    const here = !wanted.protocol || this.protocols.includes(wanted.protocol);
    this.rows = !here ? [] : this.table.rows.filter((row) =>
      (!wanted.backbone || row.backbone === wanted.backbone) && (!wanted.method || row.method === wanted.method) &&
      wanted.words.every((word) => row.search.includes(word)));
    this.section.hidden = !this.rows.length;
    this.limit = Math.min(MOST_ROWS, Math.max(FEWEST_ROWS, Math.floor(MOST_CELLS / this.columns.length)));
    this.fill();
    return this.rows.length;
  }

  fill() {
    let rows = this.rows;
    if (this.sort) {
      const { column, sign } = this.sort;
      const keyed = rows.map((row) => [sortValue(row, column), row]);
      // Empty cells stay last whichever way the others go.
      keyed.sort(([a], [b]) => compare(a, b) * (a === null || b === null ? 1 : sign));
      rows = keyed.map(([, row]) => row);
    }
    this.body.replaceChildren(...rows.slice(0, this.limit).map((row) => {
      if (!this.made.has(row)) {
        const made = rowElement(row, this.table, this.columns);
        this.made.set(row, made);
        this.rowOf.set(made, row);
      }
      return this.made.get(row);
    }));
    this.more.hidden = rows.length <= this.limit;
    this.more.textContent = `Show more of ${rows.length} rows`;
  }

  draw() {
    const rows = this.section.hidden ? [] : this.rows;
    // Typing on often leaves the same rows.
    if (this.drawn && this.drawn.length === rows.length && this.drawn.every((row, place) => row === rows[place])) return;
    this.drawn = rows;
    const plots = plotsOf(this.table, rows);
    this.plot.hidden = !plots.length;
    this.plots.replaceChildren(...plots);
    const responses = responsesOf(this.table, rows);
    this.response.hidden = !responses.length;
    this.responses.replaceChildren(...responses);
    const courses = coursesOf(this.table, rows, this.grids);
    this.course.hidden = !courses.length;
    this.courses.replaceChildren(...courses);
  }
}

// A nested value as lines of dotted name and text.
function flatten(value, name = "", lines = new Map()) {
  if (value !== null && typeof value === "object") {
    for (const [key, inner] of Object.entries(value)) flatten(inner, name ? `${name}.${key}` : key, lines);
  } else if (value !== null) lines.set(name, String(value));
  return lines;
}

function grid(head, lines, kind = null) {
  return el("div", { class: "scroll", tabindex: 0 }, el("table", { class: kind },
    head && el("thead", {}, el("tr", {}, ...head.map((text) => el("th", { scope: "col" }, text)))),
    el("tbody", {}, ...lines.map(([first, ...rest]) => el("tr", {}, el("th", { scope: "row" }, first),
      ...rest.map((text) => el("td", {}, text)))))));
}

const recordName = (record) => `${record.stage}, ` +
  (known(record.pretrain_seed) ? `pretraining seed ${record.pretrain_seed}, ` : "") + `seed ${record.seed}`;

function numbersOf(row, table) {
  const show = (value, decimals) => (known(value) ? value.toFixed(decimals) : "not known");
  const lines = table.columns.filter((column) => column.kind !== "text" && row.cells[column.key]).map((column) => {
    const cell = row.cells[column.key];
    const digits = column.decimals + 1;
    const range = (low, high) => (known(low) ? `${low.toFixed(digits)} to ${high.toFixed(digits)}` : "not known");
    const over = (interval) => (interval ? range(interval.low, interval.high) : "");
    const gain = known(cell.gain);
    return [column.title, String(cell.n), cell.mean.toFixed(digits), SPREAD.includes(column.kind) ? range(cell.low, cell.high) : "",
      over(row.images[column.key]), gain ? signed(cell.gain, digits) : "", gain ? range(cell.gain_low, cell.gain_high) : "",
      over(row.images[`${column.key}_gain`]),
      gain ? show(cell.p, 4) : "", gain ? show(cell.detectable, digits) : ""];
  });
  const head = ["", "seeds", "mean", "95 % interval", "over images", `difference to ${table.baseline}`, "95 % interval",
    "over images", "p, corrected", "smallest detectable"];
  // What is known of no column needs no place: a single seed has no intervals, a baseline no differences.
  const used = head.map((_, place) => lines.some((line) => !["", "not known"].includes(line[place])));
  return grid(head.filter((_, place) => used[place]), lines.map((line) => line.filter((_, place) => used[place])), "numbers");
}

// What differs from another row, run by run: of the same stage and seed where there is one, else of the same stage.
function differences(row, base, records) {
  const parts = [];
  const ofBase = runsOf(base, records);
  for (const record of runsOf(row, records)) {
    const sameStage = ofBase.filter((one) => one.stage === record.stage);
    const other = sameStage.find((one) => one.seed === record.seed) || sameStage[0];
    if (!other) continue;
    const [mine, theirs] = [flatten(record), flatten(other)];
    const names = [...new Set([...mine.keys(), ...theirs.keys()])].filter((name) => name !== "created" && mine.get(name) !== theirs.get(name));
    parts.push(el("details", {}, el("summary", {}, `${recordName(record)}: ${names.length} differ`),
      grid(["field", rowName(base), rowName(row)], names.map((name) => [name, theirs.get(name) || "", mine.get(name) || ""]))));
  }
  return parts.length ? parts : [el("p", {}, `${rowName(base)} has no run of these stages.`)];
}

// A choice of the row to compare with: the baseline first, or what comes nearest to one.
function comparison(table, row, records) {
  const others = table.rows.filter((one) => one !== row && one.records.length);
  if (!others.length) return [];
  const near = (one) => (one.backbone === row.backbone ? 4 : 0) + (one.texts.transfer === "baseline" ? 2 : 0) +
    (one.method === "none" ? 1 : 0);
  others.sort((a, b) => near(b) - near(a));
  const kind = (one) => (one.texts.transfer === "baseline" ? " (baseline)" : "");
  const select = el("select", { id: "other" }, ...others.map((one, place) =>
    el("option", { value: place }, `${rowName(one)}, ${one.backbone}${kind(one)}`)));
  const place = el("div", { id: "differences" });
  const show = () => place.replaceChildren(...differences(row, others[select.value], records));
  select.addEventListener("change", show);
  show();
  return [el("h3", {}, "Differences"), el("label", {}, "Compare with ", select), place];
}

function detailOf(table, row, records, grids) {
  const meaning = (mark) => table.notes.find((note) => note.startsWith(`${mark}: `)) || mark;
  const parts = [el("p", { class: "quiet" }, `Backbone ${row.backbone}. ` +
    (table.ranked === false ? "Published, not measured here." :
      row.n === 1 ? "One pretraining seed: how far another seed would differ is not known." : `${row.n} pretraining seeds.`))];
  if (row.marks.length) parts.push(el("ul", {}, ...row.marks.map((mark) => el("li", {}, meaning(mark)))));
  const texts = table.columns.filter((column) => column.kind === "text" &&
    !["backbone", "method", "n", "marks"].includes(column.key) && row.texts[column.key]);
  parts.push(el("h3", {}, "Numbers"), numbersOf(row, table));
  if (texts.length) parts.push(grid(null, texts.map((column) => [column.title, row.texts[column.key]])));
  if (!row.records.length) return parts;
  if (row.responses.length) {
    const place = el("div", { class: "plots" });
    parts.push(el("details", { class: "course", toggle: () => { if (!place.childElementCount) place.append(...responsesOfRow(row)); } },
      el("summary", {}, el("h3", {}, `Robustness and calibration (${row.responses.length})`)), place));
  }
  if (row.curves.length) {
    const place = el("div", { class: "plots" });
    // Drawn when they are wanted: there may be a score of them.
    const fold = el("details", { class: "course", toggle: () => { if (!place.childElementCount) place.append(...courseOfRow(row, grids)); } },
      el("summary", {}, el("h3", {}, `Training curves (${row.curves.length})`)), place);
    parts.push(fold);
  }
  parts.push(el("h3", {}, `Runs (${row.records.length})`));
  for (const record of runsOf(row, records)) {
    parts.push(el("details", {}, el("summary", {}, `${recordName(record)}: ${record.protocol.name} v${record.protocol.version}`),
      grid(["field", "value"], [...flatten(record)])));
  }
  return [...parts, ...comparison(table, row, records)];
}

// The Records of a row in the order they were made: pretraining first, then by seed.
function runsOf(row, records) {
  const key = (record) => [record.stage !== "pretrain", record.stage, record.pretrain_seed ?? -1, record.seed ?? -1];
  return row.records.map((id) => records[id]).sort((a, b) => {
    const [one, other] = [key(a), key(b)];
    const place = one.findIndex((value, k) => value !== other[k]);
    return place < 0 ? 0 : one[place] < other[place] ? -1 : 1;
  });
}

function options(select, name, values) {
  const sorted = [...new Set(values)].sort((a, b) => a.localeCompare(b));
  select.replaceChildren(el("option", { value: "" }, `all ${name}`), ...sorted.map((value) => el("option", { value }, value)));
}

function start({ tables, records, grids }) {
  const open = (table, row) => {
    $("detail-title").textContent = rowName(row);
    $("detail-body").replaceChildren(...detailOf(table, row, records, grids));
    $("detail").showModal();
    $("detail").scrollTop = 0;
  };
  const views = tables.map((table, number) => new View(table, number, grids, open));
  const rows = tables.flatMap((table) => table.rows);
  options($("backbone"), "backbones", rows.map((row) => row.backbone));
  options($("method"), "methods", rows.map((row) => row.method));
  options($("protocol"), "protocols", views.flatMap((view) => view.protocols));
  let drawing = 0;
  const update = () => {
    const wanted = { words: $("text").value.toLowerCase().split(/\s+/).filter(Boolean) };
    for (const name of ["backbone", "method", "protocol"]) wanted[name] = $(name).value;
    const left = views.reduce((sum, view) => sum + view.filter(wanted), 0);
    $("count").textContent = left ? `${left} of ${rows.length} rows` : `none of ${rows.length} rows fits: reset the filters`;
    // The plots follow when typing pauses.
    clearTimeout(drawing);
    drawing = setTimeout(() => views.forEach((view) => view.draw()), 200);
  };
  $("filters").addEventListener("input", (event) => {
    if (event.target.id === "all") views.forEach((view) => view.setColumns(event.target.checked));
    update();
  });
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("filters").addEventListener("reset", () => setTimeout(() => { views.forEach((view) => view.setColumns(false)); update(); }));
  $("detail").addEventListener("click", (event) => { if (event.target === $("detail")) $("detail").close(); });
  $("tables").replaceChildren(...views.map((view) => view.section));
  update();
  document.documentElement.dataset.ready = "yes";
}

unpack($("data").textContent).then(start, (error) => {
  $("tables").textContent = `The data of this page cannot be read (${error}): a browser of 2023 or later is needed.`;
});
