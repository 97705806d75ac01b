// All heads, small: a map each, with the row of the token under the cursor. One of them is drawn as arcs.

function headsView(state) {
  const grid = make("div", { class: "maps", role: "radiogroup", "aria-label": "Heads" });
  const node = make("section", { class: "heads", "aria-label": "All heads" },
    make("h3", { textContent: "All heads" }),
    make("p", { class: "facts", textContent: "A row of maps for each layer. Rows look, columns are looked at. Choose one to see its arcs." }),
    grid);
  let maps = [];
  let patterns = [];

  function read(whole) {
    const { layers, heads, tokens } = state.reading;
    [maps, patterns] = [[], whole.patterns];
    const rows = Array.from({ length: layers }, (_, layer) => {
      const row = make("div", { class: "layer" }, make("span", { class: "name", textContent: `${layer + 1}`, title: `Layer ${layer + 1}` }));
      for (let head = 0; head < heads; head++) {
        const canvas = make("canvas", { width: tokens.length, height: tokens.length });
        const button = make("button", { type: "button", role: "radio", class: "map" }, canvas, make("span", { class: "line" }));
        button.dataset.head = maps.length;
        button.setAttribute("aria-label", `Layer ${layer + 1}, head ${head + 1}: mostly at ${mostlyAt(patterns[maps.length], tokens.length)}`);
        button.title = `Layer ${layer + 1}, head ${head + 1}`;
        maps.push(button);
        row.append(button);
      }
      return row;
    });
    grid.classList.toggle("many", heads > 8);
    grid.replaceChildren(...rows);
    paint();
  }

  function paint() {
    const table = colourTable(state.scale[isDark() ? "dark" : "light"]);
    const size = state.reading.tokens.length;
    maps.forEach((button, place) => {
      const context = button.firstChild.getContext("2d");
      const pattern = patterns[place];
      const image = context.createImageData(size, size);
      for (let row = 0; row < size; row++) {
        for (let column = 0; column <= row; column++) {
          const at = row * size + column;
          const [red, green, blue] = table[Math.round(Math.min(pattern[at], 1) * 255)];
          image.data.set([red, green, blue, 255], 4 * at);
        }
      }
      context.putImageData(image, 0, 0);
    });
  }

  function point() {
    const chosen = state.layer * state.reading.heads + state.headOf;
    const size = state.reading.tokens.length;
    maps.forEach((button, place) => {
      button.setAttribute("aria-checked", String(place === chosen));
      const line = button.lastChild;
      line.style.top = `${(state.cursor / size) * 100}%`;
      line.style.height = `${100 / size}%`;
    });
    rove(maps, chosen);
  }

  grid.addEventListener("click", (event) => {
    const button = under(event, ".map");
    if (button) state.head(+button.dataset.head);
  });
  grid.addEventListener("keydown", (event) => {
    const { heads, layers } = state.reading;
    const here = state.layer * heads + state.headOf;
    const to = { ArrowRight: here + 1, ArrowLeft: here - 1, ArrowDown: here + heads, ArrowUp: here - heads, Home: 0, End: heads * layers - 1 }[event.key];
    if (to === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    if (to >= 0 && to < maps.length) state.head(to);
    maps[state.layer * heads + state.headOf].focus();
  });
  return { node, read, point, paint };
}
