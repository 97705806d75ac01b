// Points in three dimensions that turn under a pointer, a finger or the arrow keys. All text goes in as text.
"use strict";

const NS = "http://www.w3.org/2000/svg";
const QUARTER = Math.PI / 2;
const FAR = 4; // how many radii of the cloud the eye is away from its middle
const NEAR_ENOUGH = 28; // pixels from the pointer to the point that it means
const DRAGGED = 4; // pixels from where a press is no longer a tap
const START = { yaw: -0.45, pitch: 0.3, zoom: 1 };
// One shape a group: with or without colour they stay apart.
const SHAPES = ["M-6 0A6 6 0 1 0 6 0A6 6 0 1 0-6 0Z", "M0-7L7 6L-7 6Z", "M-5.5-5.5H5.5V5.5H-5.5Z", "M0-7.5L7.5 0L0 7.5L-7.5 0Z"];

const svg = document.getElementById("globe");
const panel = document.getElementById("numbers");
const told = document.getElementById("told");
const { points, arrows, axes, near } = JSON.parse(document.getElementById("data").textContent);
const reach = Math.max(...points.map((point) => Math.hypot(...point.at))) || 1;
const waiting = [...panel.childNodes];
const view = { ...START };
const pressed = new Map();
let size = [1, 1];
let shown = null;
let dragged = 0;
let waitingForFrame = false;

function made(name, attributes, parent) {
  const element = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent.append(element);
  return element;
}

function element(name, text) {
  const one = document.createElement(name);
  one.textContent = text;
  return one;
}

// Written with ends that a right-to-left word cannot move.
const word = (text, attributes, parent) => {
  const one = made("text", { direction: "ltr", ...attributes }, parent);
  one.textContent = text;
  return one;
};

made("path", { d: "M0 0L-9 4L-9-4Z" }, made("marker", { id: "head", orient: "auto", markerWidth: 10, markerHeight: 8,
  refX: 0, refY: 0, viewBox: "-9 -4 9 8", markerUnits: "userSpaceOnUse" }, made("defs", {}, svg)));
const axisLines = axes.map((name, index) => ({
  line: made("line", { class: "axis" }, svg),
  name: word(name, { class: "axis-name" }, svg),
  end: [0, 1, 2].map((place) => (place === index ? reach : 0)),
}));
const arrowLines = arrows.map(([, , group]) => made("line", { class: "arrow g" + (group % 6), "marker-end": "url(#head)" }, svg));
const cloud = made("g", {}, svg);
const drawn = points.map((point, index) => {
  const group = made("g", { class: `point g${point.group % 6}${point.near ? " near" : ""}`, "data-i": index }, cloud);
  made("path", { d: SHAPES[point.group % SHAPES.length] }, group);
  const label = word(point.label, { x: 10, y: 4 }, group);
  return { group, label, width: 0 };
});

// Turned about the upright axis, then towards the eye; nearer is larger.
function seen([x, y, z]) {
  const [cos, sin] = [Math.cos(view.yaw), Math.sin(view.yaw)];
  const [up, down] = [Math.cos(view.pitch), Math.sin(view.pitch)];
  const across = x * cos + z * sin;
  const away = z * cos - x * sin;
  const high = y * up - away * down;
  const depth = (y * down + away * up) / reach;
  const scale = (Math.min(...size) / 2 - 34) / reach * view.zoom * FAR / (FAR - depth);
  return { x: size[0] / 2 + across * scale, y: size[1] / 2 - high * scale, depth };
}

function place(line, from, to) {
  for (const [key, value] of [["x1", from.x], ["y1", from.y], ["x2", to.x], ["y2", to.y]]) {
    line.setAttribute(key, value.toFixed(1));
  }
}

// An arrow stops where the marker of its end begins.
function shortened(from, to) {
  const along = Math.max(0, 1 - 8 / (Math.hypot(to.x - from.x, to.y - from.y) || 1));
  return { x: from.x + (to.x - from.x) * along, y: from.y + (to.y - from.y) * along };
}

function draw() {
  waitingForFrame = false;
  const places = points.map((point) => seen(point.at));
  for (const { line, name, end } of axisLines) {
    const tip = seen(end);
    place(line, seen(end.map((value) => -value)), tip);
    name.setAttribute("x", Math.min(Math.max(tip.x, 4), size[0] - name.getComputedTextLength() - 4).toFixed(1));
    name.setAttribute("y", Math.min(Math.max(tip.y, 14), size[1] - 6).toFixed(1));
  }
  arrows.forEach(([start, end], index) => place(arrowLines[index], places[start], shortened(places[start], places[end])));
  const order = places.map((_, index) => index).sort((a, b) => places[a].depth - places[b].depth);
  for (const index of order) {
    const { x, y, depth } = places[index];
    drawn[index].group.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
    drawn[index].group.setAttribute("opacity", (0.78 + 0.22 * depth).toFixed(2));
    drawn[index].group.classList.toggle("shown", index === shown);
    cloud.append(drawn[index].group);
  }
  if (shown !== null) cloud.append(drawn[shown].group);
  label(places, order);
}

// The word pointed at first, then those asked for, then the nearest. A label covers no other label, and where it can be
// helped no marker.
function label(places, order) {
  const rank = (index) => (index === shown ? 2 : points[index].near ? 0 : 1);
  const markers = places.map(({ x, y }) => [x - 6, y - 6, x + 6, y + 6]);
  const boxes = [];
  const clear = (box, others) =>
    others.every((other) => box[2] < other[0] || other[2] < box[0] || box[3] < other[1] || other[3] < box[1]);
  for (const index of [...order].reverse().sort((a, b) => rank(b) - rank(a))) {
    const { x, y } = places[index];
    const width = drawn[index].width;
    const around = [[x + 10, y], [x - 10 - width, y], [x - width / 2, y - 16], [x - width / 2, y + 17]];
    const free = around.map(([left, middle]) => [left, middle - 9, left + width, middle + 9])
      .filter((box) => box[0] > 2 && box[2] < size[0] - 2 && clear(box, boxes));
    const box = free.find((one) => clear(one, markers.filter((_, other) => other !== index))) ?? free[0];
    drawn[index].label.classList.toggle("hidden", !box);
    if (!box) continue;
    drawn[index].label.setAttribute("x", (box[0] - x).toFixed(1));
    drawn[index].label.setAttribute("y", (box[1] + 13 - y).toFixed(1));
    boxes.push(box);
  }
  told.textContent = boxes.length < points.length
    ? `${boxes.length} of ${points.length} labels have room: turn it, or come closer` : "";
}

function soon() {
  if (!waitingForFrame) requestAnimationFrame(draw);
  waitingForFrame = true;
}

function turn(yaw, pitch) {
  view.yaw += yaw;
  view.pitch = Math.min(Math.max(view.pitch + pitch, -QUARTER), QUARTER);
  soon();
}

function come(closer) {
  view.zoom = Math.min(Math.max(view.zoom * closer, 0.3), 20);
  soon();
}

function show(index) {
  if (index === shown) return;
  shown = index;
  soon();
  if (index === null) return panel.replaceChildren(...waiting);
  const point = points[index];
  const list = document.createElement("dl");
  const rows = axes.map((name, axis) => [name, point.at[axis].toFixed(3)]);
  if (point.near) rows.unshift([near.replace("{word}", () => point.near), point.similarity.toFixed(3)]);
  for (const [name, value] of rows) {
    const row = document.createElement("div");
    row.append(element("dt", name), element("dd", value));
    list.append(row);
  }
  panel.replaceChildren(element("h2", point.label), list);
}

function under(event) {
  const frame = svg.getBoundingClientRect();
  const [x, y] = [event.clientX - frame.left, event.clientY - frame.top];
  const distances = points.map((point) => { const at = seen(point.at); return Math.hypot(at.x - x, at.y - y); });
  const best = distances.indexOf(Math.min(...distances));
  return distances[best] < NEAR_ENOUGH ? best : null;
}

const spread = () => { const [a, b] = [...pressed.values()]; return Math.hypot(a[0] - b[0], a[1] - b[1]) || 1; };

svg.addEventListener("pointerdown", (event) => {
  svg.setPointerCapture(event.pointerId);
  pressed.set(event.pointerId, [event.clientX, event.clientY]);
  dragged = pressed.size > 1 ? DRAGGED : 0;
});
svg.addEventListener("pointermove", (event) => {
  const before = pressed.get(event.pointerId);
  if (!before) return show(under(event));
  const now = [event.clientX, event.clientY];
  const [dx, dy] = [now[0] - before[0], now[1] - before[1]];
  dragged += Math.hypot(dx, dy);
  const was = pressed.size === 2 ? spread() : 0;
  pressed.set(event.pointerId, now);
  if (was) come(spread() / was);
  else if (dragged > DRAGGED) turn(dx / 140, dy / 140);
});
for (const end of ["pointerup", "pointercancel"]) {
  svg.addEventListener(end, (event) => {
    pressed.delete(event.pointerId);
    if (end === "pointerup" && dragged <= DRAGGED) show(under(event));
  });
}
svg.addEventListener("wheel", (event) => {
  event.preventDefault();
  come(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)));
}, { passive: false });

const keys = {
  ArrowLeft: () => turn(-0.12, 0), ArrowRight: () => turn(0.12, 0), ArrowUp: () => turn(0, -0.12), ArrowDown: () => turn(0, 0.12),
  "+": () => come(1.2), "=": () => come(1.2), "-": () => come(1 / 1.2), Home: () => { Object.assign(view, START); soon(); },
  0: () => { Object.assign(view, { yaw: 0, pitch: 0, zoom: 1 }); soon(); }, Escape: () => show(null),
  n: () => show(shown === null ? 0 : (shown + 1) % points.length),
  p: () => show(shown === null ? points.length - 1 : (shown + points.length - 1) % points.length),
};
svg.addEventListener("keydown", (event) => {
  if (!Object.hasOwn(keys, event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  keys[event.key]();
});
for (const button of document.querySelectorAll("button[data-key]")) {
  button.addEventListener("click", () => keys[button.dataset.key]());
}

new ResizeObserver(() => {
  const frame = svg.getBoundingClientRect();
  size = [frame.width, frame.height];
  svg.setAttribute("viewBox", `0 0 ${frame.width} ${frame.height}`);
  for (const one of drawn) one.width = one.label.getComputedTextLength();
  draw();
}).observe(svg);
