// The text that stays in sight, and arcs from the word that looks to those that it looks at.
"use strict";

const THIN = 0.01; // weights below it have no arc
const sentence = document.getElementById("sentence");
const arcs = document.getElementById("arcs");
const words = [...sentence.querySelectorAll("[data-token]")];
const byRow = sentence.dataset.by === "row";
const grids = [...document.querySelectorAll(".grid.looks")];
const [firstGrid, firstQuery] = sentence.dataset.first.split(" ").map(Number);
const told = document.getElementById("numbers");
let grid = grids[firstGrid];
let kept = false;
let drawn = null;

// The fields of one query in a map: [place of the key, its field].
function looked(query) {
  const rows = [...grid.tBodies[0].rows];
  const fields = byRow ? [...rows[query].cells].slice(1) : rows.map((row) => row.cells[query + 1]);
  return fields.map((field, key) => [key, field]).filter(([, field]) => field.matches("[data-i]"));
}

function weights() {
  return JSON.parse(document.getElementById("data-" + grid.dataset.part).textContent).cells.map(([numbers]) => Number(numbers[0]));
}

function middle(word) {
  return word.offsetLeft + word.offsetWidth / 2;
}

function arc(from, to, weight) {
  const path = document.createElementNS(arcs.namespaceURI, "path");
  const base = arcs.clientHeight - 2;
  const high = Math.min(12 + Math.abs(to - from) * 0.25, base - 4);
  const [start, end] = from === to ? [from - 7, to + 7] : [from, to];
  path.setAttribute("d", `M${start} ${base}C${start} ${base - high * 1.3} ${end} ${base - high * 1.3} ${end} ${base}`);
  path.setAttribute("stroke-width", 1 + 6 * weight);
  path.setAttribute("stroke-opacity", 0.25 + 0.75 * weight);
  arcs.append(path);
}

function draw(query) {
  const numbers = weights();
  const found = looked(query).map(([key, field]) => [key, field, numbers[field.dataset.i]]);
  const largest = Math.max(...found.map(([, , value]) => Math.abs(value))) || 1;
  drawn = query;
  const shares = found.every(([, , value]) => value >= 0 && value <= 1);
  wipe();
  words[query].classList.add("looks");
  for (const [key, field, value] of found) {
    words[key].classList.add(...[...field.classList].filter((name) => /^c\d+$/.test(name)));
    const weight = shares ? value : Math.max(value, 0) / largest;
    if (weight >= THIN) arc(middle(words[query]), middle(words[key]), weight);
  }
  sentence.scrollLeft = middle(words[query]) - sentence.clientWidth / 2;
  return found;
}

function wipe() {
  arcs.replaceChildren();
  for (const word of words) word.className = "";
}

function clear() {
  drawn = null;
  wipe();
}

function say(query, found) {
  const heading = document.createElement("h2");
  const list = document.createElement("p");
  heading.textContent = `${words[query].textContent} looks at …`;
  const best = found.filter(([, , value]) => Number.isFinite(value)).sort((one, two) => two[2] - one[2]).slice(0, 5);
  list.textContent = best.map(([key, , value]) => `${words[key].textContent} ${value.toFixed(2)}`).join(" · ");
  const where = document.createElement("p");
  where.className = "how";
  where.textContent = named();
  told.replaceChildren(heading, list, where);
}

// The layer and the head of the chosen map.
function named() {
  const row = grid.closest(".row");
  const own = grid.closest("figure").querySelector("h3").textContent;
  return row ? `${row.querySelector("h3").textContent}, ${own}` : own;
}

function choose(other) {
  if (grid) grid.closest("figure").classList.remove("head-chosen");
  grid = other;
  grid.closest("figure").classList.add("head-chosen");
}

function point(word) {
  const query = words.indexOf(word);
  say(query, draw(query));
}

const wordOf = (node) => (node instanceof Element ? node.closest("[data-token]") : null);
const fieldOf = (node) => (node instanceof Element ? node.closest(".grid [data-i]") : null);

function at(node) {
  const word = wordOf(node);
  const field = fieldOf(node);
  if (word) point(word);
  if (!field || !grids.includes(field.closest(".grid"))) return;
  choose(field.closest(".grid"));
  draw(byRow ? field.closest("tr").rowIndex - 1 : field.cellIndex - 1);
}

if (grid) {
  choose(grid);
  if (words[firstQuery]) draw(firstQuery);
  // A page may be laid out only when it is scrolled to, in the frame of a notebook.
  new ResizeObserver(() => drawn === null || draw(drawn)).observe(sentence);
  document.addEventListener("pointerover", (event) => kept || at(event.target));
  document.addEventListener("focusin", (event) => {
    if (!event.target.matches("[data-token], [data-i]")) return;
    kept = false;
    at(event.target);
  });
  document.addEventListener("click", (event) => {
    const word = wordOf(event.target);
    const field = fieldOf(event.target);
    if (!word && !field) return;
    kept = false;
    at(event.target);
    kept = Boolean(document.querySelector("[aria-selected=true]")) || Boolean(word);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      kept = false;
      clear();
      return;
    }
    const word = wordOf(event.target);
    if (!word) return;
    const last = words.length - 1;
    const place = words.indexOf(word);
    const next = { ArrowRight: Math.min(place + 1, last), ArrowLeft: Math.max(place - 1, 0), Home: 0, End: last }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    for (const each of words) each.tabIndex = -1;
    words[next].tabIndex = 0;
    words[next].focus();
  });
}
