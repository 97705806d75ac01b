// The chosen head as one large map, with the tokens on both sides.

const NAMED_ROWS = 24; // tokens up to which all of them are named

function mapView(state) {
  const canvas = make("canvas");
  const line = make("span", { class: "line" });
  const mark = make("span", { class: "mark" });
  const field = make("div", { class: "field-of" }, canvas, line, mark);
  const rows = make("ol", { class: "rows", "aria-hidden": "true" });
  const columns = make("ol", { class: "columns", "aria-hidden": "true" });
  const told = make("figcaption");
  const node = make("figure", { class: "large-map" }, columns, rows, field, told);
  let column = null;
  let drawn = null;

  function read() {
    const { tokens } = state.reading;
    for (const list of [rows, columns]) {
      list.style.setProperty("--count", tokens.length);
      list.replaceChildren(...tokens.map(({ text }) => make("li", {}, make("span", { textContent: shown(text) }))));
      list.classList.toggle("few", tokens.length > NAMED_ROWS);
    }
    drawn = null;
  }

  function point({ pattern }) {
    const { tokens } = state.reading;
    const size = tokens.length;
    node.hidden = !pattern;
    if (!pattern) return;
    if (drawn !== pattern) paintMap(canvas, pattern, size, colourTable(state.scale[isDark() ? "dark" : "light"]));
    drawn = pattern;
    const row = state.cursor;
    let at = column;
    if (at === null || at > row) at = strongest(pattern, row, size);
    [...rows.children].forEach((each, place) => each.classList.toggle("on", place === row));
    [...columns.children].forEach((each, place) => each.classList.toggle("on", place === at));
    over(line, row, size, true);
    over(mark, at, size, false);
    mark.style.top = line.style.top;
    mark.style.height = line.style.height;
    told.textContent = `${shown(tokens[row].text)} looks at ${shown(tokens[at].text)}: ${pattern[row * size + at].toFixed(3)}`;
  }

  function over(element, place, size, vertical) {
    element.style[vertical ? "top" : "left"] = `${(place / size) * 100}%`;
    element.style[vertical ? "height" : "width"] = `${100 / size}%`;
  }

  function strongest(pattern, row, size) {
    let best = 0;
    for (let place = 1; place <= row; place++) if (pattern[row * size + place] > pattern[row * size + best]) best = place;
    return best;
  }

  field.addEventListener("pointermove", (event) => {
    const [row, at] = placeOf(event);
    if (at > row) return;
    column = at;
    state.hover(row, undefined, true);
  });
  field.addEventListener("pointerleave", () => {
    column = null;
    state.hover(null);
  });
  field.addEventListener("click", (event) => {
    const [row, at] = placeOf(event);
    if (at > row) return;
    column = at;
    state.choose(row);
  });

  function placeOf(event) {
    const box = field.getBoundingClientRect();
    const size = state.reading.tokens.length;
    const place = (offset, length) => Math.min(Math.max(Math.floor((offset / length) * size), 0), size - 1);
    return [place(event.clientY - box.top, box.height), place(event.clientX - box.left, box.width)];
  }

  const repaint = () => (drawn = null);
  return { node, read, point, repaint };
}

// Weights as pixels: the lower triangle, and nothing where no token may look.
function paintMap(canvas, pattern, size, table) {
  canvas.width = canvas.height = size;
  const context = canvas.getContext("2d");
  const image = context.createImageData(size, size);
  for (let row = 0; row < size; row++) {
    for (let column = 0; column <= row; column++) {
      const at = row * size + column;
      const [red, green, blue] = table[Math.round(Math.min(pattern[at], 1) * 255)];
      image.data.set([red, green, blue, 255], 4 * at);
    }
  }
  context.putImageData(image, 0, 0);
}
