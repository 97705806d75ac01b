// Pointing at a cell, moving to it with the keyboard, or tapping it shows its numbers. All text goes in as text.
"use strict";

const panel = document.getElementById("numbers");
const waiting = [...panel.childNodes];
const parts = new Map();
let shown = null;
let pinned = null;

for (const part of document.querySelectorAll("[data-part]")) {
  const cells = [...part.querySelectorAll("[data-i]")];
  const data = JSON.parse(document.getElementById("data-" + part.dataset.part).textContent);
  parts.set(part, { cells, data });
  if (cells.length) cells[0].tabIndex = 0;
}

const cellOf = (node) => (node instanceof Element ? node.closest("[data-part] [data-i]") : null);
const partOf = (cell) => cell.closest("[data-part]");

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

const BAR = document.createElement("template");
BAR.innerHTML =
  '<svg class="bar" viewBox="0 0 1 20" preserveAspectRatio="none" aria-hidden="true"><rect y="3.8" height="12.4" fill="currentColor"/></svg>';

function bar(fraction) {
  const made = BAR.content.firstChild.cloneNode(true);
  made.firstChild.setAttribute("width", fraction);
  return made;
}

function headers(cell) {
  const row = cell.closest("tr");
  return row ? [row.querySelector("th"), cell.closest("table").querySelectorAll("thead th")[cell.cellIndex]] : [];
}

function heading(cell, data) {
  const [row, column] = headers(cell).map((header) => header.textContent);
  return data.heading.replace(/\{(label|row|column)\}/g, (_, name) => ({ label: cell.textContent, row, column })[name]);
}

// The cells of the same row or column, as a text: what each of them belongs to, on its colour.
function spread(cell, along) {
  const text = element("p", undefined, "spread");
  const rows = along === "row" ? [cell.closest("tr")] : [...cell.closest("tbody").rows];
  const cells = rows.flatMap((row) => (along === "row" ? [...row.querySelectorAll("[data-i]")] : [row.cells[cell.cellIndex]]));
  for (const each of cells.filter((other) => other.matches("[data-i]"))) {
    const [row, column] = headers(each);
    text.append(element("span", (along === "row" ? column : row).textContent, each.className.replace("shown", "") + (each === cell ? " own" : "")));
    text.append(element("wbr"));
  }
  return text;
}

function choices(rows) {
  const table = element("table", undefined, "choices");
  for (const [label, value, fraction, state] of rows) {
    const row = table.insertRow();
    row.className = state;
    row.append(element("td", label), element("td", value, "figure"), element("td", undefined, "bar"));
    row.lastChild.append(bar(fraction));
  }
  return table;
}

function show(cell) {
  if (cell === shown) return;
  clear();
  shown = cell;
  const { data } = parts.get(partOf(cell));
  const [numbers, options] = data.cells[cell.dataset.i];
  const list = element("dl");
  data.names.forEach((name, place) => {
    const pair = element("div");
    pair.append(element("dt", name), element("dd", numbers[place] ?? "–"));
    list.append(pair);
  });
  panel.replaceChildren(element("h2", heading(cell, data)), list);
  if (data.spread) panel.append(spread(cell, data.spread));
  if (options.length) panel.append(choices(options));
  cell.classList.add("shown");
  for (const header of headers(cell)) header.classList.add("here");
}

function clear() {
  if (!shown) return;
  shown.classList.remove("shown");
  for (const header of headers(shown)) header.classList.remove("here");
  shown = null;
}

function press(cell, on) {
  cell.setAttribute(cell.getAttribute("role") === "gridcell" ? "aria-selected" : "aria-pressed", String(on));
}

// A pinned cell keeps its numbers while the pointer is on its way elsewhere.
function pin(cell) {
  const again = cell === pinned;
  if (pinned) press(pinned, false);
  pinned = again ? null : cell;
  if (pinned) {
    press(pinned, true);
    show(pinned);
  }
}

function unpin() {
  if (pinned) pin(pinned);
  clear();
  panel.replaceChildren(...waiting);
}

function above(cell, cells, direction) {
  const here = cell.getBoundingClientRect();
  const other = cells.map((each) => [each, each.getBoundingClientRect()])
    .filter(([, box]) => (box.top - here.top) * direction > here.height / 2);
  if (!other.length) return cell;
  const line = direction > 0 ? Math.min(...other.map(([, box]) => box.top)) : Math.max(...other.map(([, box]) => box.top));
  const across = ([, box]) => Math.abs(box.left + box.width / 2 - here.left - here.width / 2);
  return other.filter(([, box]) => Math.abs(box.top - line) < here.height / 2)
    .reduce((best, each) => (across(each) < across(best) ? each : best))[0];
}

function neighbour(cell, key) {
  const { cells } = parts.get(partOf(cell));
  const place = cells.indexOf(cell);
  const forward = getComputedStyle(partOf(cell)).direction === "rtl" ? -1 : 1;
  switch (key) {
    case "ArrowRight": return cells[place + forward];
    case "ArrowLeft": return cells[place - forward];
    case "ArrowDown": return above(cell, cells, 1);
    case "ArrowUp": return above(cell, cells, -1);
    case "Home": return cells[0];
    case "End": return cells[cells.length - 1];
  }
}

function move(cell) {
  for (const each of parts.get(partOf(cell)).cells) each.tabIndex = -1;
  cell.tabIndex = 0;
  cell.focus();
}

document.addEventListener("pointerover", (event) => {
  const cell = cellOf(event.target);
  if (cell && !pinned) show(cell);
});
document.addEventListener("focusin", (event) => {
  const cell = cellOf(event.target);
  if (cell && (!pinned || cell !== pinned)) {
    if (pinned) pin(pinned);
    show(cell);
  }
});
document.addEventListener("click", (event) => {
  const cell = cellOf(event.target);
  if (!cell) return;
  const wasPinned = pinned === cell;
  move(cell);
  if (wasPinned === (pinned === cell)) pin(cell);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") return unpin();
  const cell = cellOf(event.target);
  if (!cell || event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    pin(cell);
    return;
  }
  if (!/^(Arrow|Home$|End$)/.test(event.key)) return;
  event.preventDefault();
  const next = neighbour(cell, event.key);
  if (next) move(next);
});
