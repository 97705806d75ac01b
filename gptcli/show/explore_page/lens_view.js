// The tokens as columns, and below each what every layer would say next: the logit lens.

function lensView(state) {
  const heads = make("tr", { role: "row" });
  const body = make("tbody");
  const table = make("table", { class: "lens", role: "grid", "aria-label": "The lens: the best guess of each layer after each token" },
    make("thead", {}, heads), body);
  const scroll = make("div", { class: "scroll" });
  const told = make("p", { class: "told", role: "status" });
  const how = make("p", { class: "facts", textContent: "The lens: what the model would say next if it stopped after that layer; underlined where it is what came." });
  let columns = [];
  let cells = [];
  let lists = [];
  let stop = null; // of Tab
  let measured = null;

  function read({ guesses }) {
    const { tokens } = state.reading;
    columns = tokens.map(({ text }, place) => {
      const head = make("th", { scope: "col" }, make("span", { class: "word", textContent: shown(text) }), make("small"));
      head.dataset.at = place;
      return head;
    });
    heads.replaceChildren(make("th", { class: "corner" }, make("small", { textContent: "weight" })), ...columns);
    cells = guesses.map((row, layer) => row.map((list, position) => cell(list, layer, position)));
    lists = guesses;
    const rows = cells.map((row, layer) => make("tr", { role: "row" }, make("th", { scope: "row", textContent: layerName(layer) }), ...row));
    const came = make("tr", { class: "came" }, make("th", { scope: "row", textContent: "came" }),
      ...tokens.map((_, position) => {
        const made = make("td", { textContent: shown(tokens[position + 1]?.text ?? "") });
        made.dataset.at = position;
        return made;
      }));
    body.replaceChildren(...rows, came);
    measured = null;
  }

  const layerName = (layer) => (layer ? `${layer}` : "embed");

  function cell([best], layer, position) {
    const right = best.id === state.reading.tokens[position + 1]?.id;
    const made = make("td", { role: "gridcell", tabIndex: -1, class: `${colour(best.probability)}${right ? " right" : ""}` },
      make("span", { textContent: shown(best.text) }));
    made.dataset.at = position;
    made.dataset.layer = layer;
    made.setAttribute("aria-label", `${layer ? `layer ${layer}` : "embedding"}, after ${shown(state.reading.tokens[position].text)}: ${shown(best.text)}, ${percent(best.probability)}`);
    return made;
  }

  function point({ pattern }) {
    const { reading, cursor, lensLayer } = state;
    const size = reading.tokens.length;
    for (const marked of table.querySelectorAll(".at, .now")) marked.classList.remove("at", "now");
    for (const row of table.rows) row.cells[cursor + 1].classList.add("at");
    columns.forEach((head, place) => {
      const weight = !pattern ? 0 : place <= cursor ? pattern[cursor * size + place] : pattern[place * size + cursor];
      const figure = weight >= LEAST ? weight.toFixed(2) : "";
      if (head.lastChild.textContent !== figure) head.lastChild.textContent = figure;
    });
    cells[lensLayer][cursor].classList.add("now");
    if (stop) stop.tabIndex = -1;
    stop = cells[lensLayer][state.home];
    stop.tabIndex = 0;
    const where = lensLayer ? `After layer ${lensLayer}` : "Before the first layer";
    const list = lists[lensLayer][cursor].slice(0, 5).map(({ text, probability }) => `${shown(text)} ${percent(probability)}`);
    told.textContent = `${where}, at ${shown(reading.tokens[cursor].text)}: ${list.join(", ")}`;
  }

  body.addEventListener("keydown", (event) => {
    const { home, lensLayer, reading } = state;
    const last = reading.tokens.length - 1;
    const to = {
      ArrowRight: [home + 1, lensLayer], ArrowLeft: [home - 1, lensLayer], ArrowDown: [home, lensLayer + 1],
      ArrowUp: [home, lensLayer - 1], Home: [0, lensLayer], End: [last, lensLayer],
    }[event.key];
    if (!to || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const [position, layer] = [Math.min(Math.max(to[0], 0), last), Math.min(Math.max(to[1], 0), reading.layers)];
    state.choose(position, layer);
    cells[layer][position].focus();
  });

  // Where the columns are, for the arcs above them; and the one under the cursor in sight.
  function places() {
    measured ??= { width: table.offsetWidth, middles: columns.map((head) => head.offsetLeft + head.offsetWidth / 2) };
    return measured;
  }

  function follow() {
    const head = columns[state.home];
    const sticky = heads.firstChild.offsetWidth;
    const low = head.offsetLeft - sticky - 8;
    const high = head.offsetLeft + head.offsetWidth + 8 - scroll.clientWidth;
    if (scroll.scrollLeft > low) scroll.scrollLeft = low;
    else if (scroll.scrollLeft < high) scroll.scrollLeft = high;
  }

  const moved = () => (measured = null);
  return { table, scroll, told, how, read, point, places, moved, follow };
}
