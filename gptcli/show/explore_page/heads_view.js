// All heads, small: a map each, with the row of the token under the cursor. One of them is drawn large, and as arcs.

function headsView(state, large) {
  const grid = make("div", { class: "maps", role: "radiogroup", "aria-label": "Heads" });
  const node = make("section", { class: "heads", "aria-label": "All heads" },
    make("h3", { textContent: "All heads" }),
    make("p", { class: "facts", textContent: "A map for each head, a group for each layer: rows look, columns are looked at. Choose one to see it large and as arcs." }),
    make("div", { class: "both" }, large, grid));
  let maps = [];
  let patterns = [];

  function read(whole) {
    const { layers, heads, tokens } = state.reading;
    [maps, patterns] = [[], whole.patterns];
    const rows = Array.from({ length: layers }, (_, layer) => {
      const row = make("div", { class: "layer" }, make("span", { class: "name", textContent: `${layer + 1}`, title: `Layer ${layer + 1}` }));
      for (let head = 0; head < heads; head++) {
        const canvas = make("canvas");
        const button = make("button", { type: "button", role: "radio", class: "map" }, canvas, make("span", { class: "line" }));
        button.dataset.head = maps.length;
        const most = tokens.length < 3 ? "" : `: mostly at ${mostlyAt(patterns[maps.length], tokens.length)}`;
        button.setAttribute("aria-label", `Layer ${layer + 1}, head ${head + 1}${most}`);
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
    maps.forEach((button, place) => paintMap(button.firstChild, patterns[place], size, table));
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
