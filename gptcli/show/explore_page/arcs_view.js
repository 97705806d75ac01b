// Arcs of one head over the tokens: to the left where the token under the cursor looks, to the right who looks at it.

const ARCS = 132; // height in pixels
const LEAST = 0.01; // a weight that is drawn

function arcsView(state, columns) {
  const arcs = svg("svg", { class: "arcs", height: ARCS, "aria-hidden": "true" });
  const named = make("h3");
  const mostly = make("p", { class: "facts" });
  const step = (by, sign, label) => {
    const made = make("button", { type: "button", textContent: sign, "aria-label": label });
    made.addEventListener("click", () => state.head(state.layer * state.reading.heads + state.headOf + by));
    return made;
  };
  const node = make("div", { class: "arcs-head" },
    make("div", { class: "stepper" }, step(-1, "‹", "The head before"), named, step(1, "›", "The next head")),
    mostly,
    make("p", { class: "key" }, make("i", { class: "looks", textContent: "looks at" }), " ", make("i", { class: "seen", textContent: "is looked at by" })));

  function point({ pattern }) {
    const { reading, layer, headOf, cursor } = state;
    if (!pattern) return;
    const size = reading.tokens.length;
    const at = columns();
    arcs.setAttribute("width", at.width);
    const span = Math.max(...at.middles) - at.middles[0] || 1;
    const lines = [];
    const faint = size <= 64 ? 0.15 : 0.5;
    for (let row = 0; row < size; row++) {
      if (row === cursor) continue;
      for (let column = 0; column < row; column++) {
        const weight = pattern[row * size + column];
        if (column !== cursor && weight >= faint) lines.push(arc(at, row, column, weight, span, "faint"));
      }
    }
    for (let row = cursor + 1; row < size; row++) {
      const weight = pattern[row * size + cursor];
      if (weight >= LEAST) lines.push(arc(at, row, cursor, weight, span, "seen"));
    }
    for (let column = 0; column <= cursor; column++) {
      const weight = pattern[cursor * size + column];
      if (weight >= LEAST) lines.push(arc(at, cursor, column, weight, span, "looks"));
    }
    arcs.replaceChildren(...lines);
    named.textContent = `Layer ${layer + 1}, head ${headOf + 1}`;
    mostly.textContent = size < 3 ? "" : `here mostly at ${mostlyAt(pattern, size)}`;
  }

  function arc(at, from, to, weight, span, kind) {
    const [x, end] = [at.middles[from], at.middles[to]];
    const height = from === to ? 30 : 14 + ((ARCS - 22) / 0.75 - 14) * Math.sqrt(Math.abs(x - end) / span);
    const top = ARCS - height;
    const d = from === to
      ? `M${x - 4} ${ARCS}C${x - 16} ${top},${x + 16} ${top},${x + 4} ${ARCS}`
      : `M${x} ${ARCS}C${x} ${top},${end} ${top},${end} ${ARCS}`;
    const made = svg("path", { d, class: kind });
    if (kind !== "faint") {
      made.setAttribute("stroke-width", Math.max(7 * weight, 1).toFixed(2));
      made.setAttribute("opacity", (0.3 + 0.7 * weight).toFixed(2));
    }
    return made;
  }

  return { node, arcs, point };
}

// Where a head looks in a text of three tokens or more, of what attention is most often about.
function mostlyAt(pattern, size) {
  const shares = { "the first token": 0, "the token before": 0, "the token itself": 0 };
  for (let row = 2; row < size; row++) {
    shares["the first token"] += pattern[row * size];
    shares["the token before"] += pattern[row * size + row - 1];
    shares["the token itself"] += pattern[row * size + row];
  }
  const means = Object.entries(shares).map(([name, sum]) => [name, sum / (size - 2)]);
  means.push(["tokens further back", 1 - means.reduce((sum, [, mean]) => sum + mean, 0)]);
  const [name, mean] = means.reduce((best, each) => (each[1] > best[1] ? each : best));
  return `${name} (${mean.toFixed(2)})`;
}
