// One cursor for all views: pointing previews a token, choosing one keeps it.

function mount(figure) {
  const data = JSON.parse(document.getElementById(`data-${figure.dataset.explore}`).textContent);
  const state = newState(figure.dataset.explore, data, later);
  let waiting = false;
  let turn = 0;
  let shows = 0;
  let struck = null;

  // All changes of a frame are drawn once, and only the newest answers.
  function later() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(async () => {
      waiting = false;
      const mine = ++turn;
      const { reading } = state;
      const here = await askedHere(state);
      if (mine !== turn || !here || reading !== state.reading) return;
      for (const view of state.late ? [text, next] : [text, lens, arcs, map, heads, next]) view.point(here);
      if (state.moved && !state.late) lens.follow();
      state.moved = false;
    });
  }

  const lens = lensView(state);
  const text = textView(state);
  const arcs = arcsView(state, lens.places);
  const map = mapView(state);
  const heads = headsView(state, map.node);
  const next = nextView(state);
  lens.scroll.append(arcs.arcs, lens.table);
  const score = make("section", { class: "score", "aria-label": "Attention and lens" }, arcs.node, lens.scroll, lens.told, lens.how);
  figure.append(make("div", { class: "views" }, text.node, score, next.node, heads.node));

  // Draw another reading: its text and next token at once, what all layers say when no other one follows.
  async function show(reading, home) {
    const [ask, mine] = [asking(reading), ++shows];
    const within = (number, count) => Math.min(number, count - 1);
    Object.assign(state, { reading, ask, home, hovered: null, moved: true, lensLayer: within(state.lensLayer, reading.layers + 1) });
    Object.assign(state, { layer: within(state.layer, reading.layers), headOf: within(state.headOf, reading.heads) });
    if (mine > 1) {
      late(true);
      text.read();
      later();
      await new Promise((done) => setTimeout(done, SETTLE));
      if (mine !== shows) return;
    }
    const whole = await askedWhole(reading, ask);
    if (mine !== shows || !whole) return;
    if (!struck) [state.layer, state.headOf] = struck = striking(reading, whole.patterns);
    for (const view of mine === 1 ? [text, lens, map, heads] : [lens, map, heads]) view.read(whole);
    late(false);
    state.moved = true;
    later();
  }

  function late(is) {
    state.late = is;
    figure.classList.toggle("late", is);
  }

  function repaint() {
    heads.paint();
    map.repaint();
    later();
  }

  const layerOf = (cell) => (cell.dataset.layer ? +cell.dataset.layer : undefined);
  figure.addEventListener("pointerover", (event) => {
    const cell = under(event, "[data-at]");
    if (event.pointerType === "mouse" && cell) state.hover(+cell.dataset.at, layerOf(cell));
  });
  figure.addEventListener("pointerleave", () => state.hover(null));
  const chosen = (event) => {
    const cell = under(event, "[data-at]");
    if (cell) state.choose(+cell.dataset.at, layerOf(cell));
  };
  figure.addEventListener("click", chosen);
  figure.addEventListener("pointerup", (event) => event.pointerType !== "mouse" && chosen(event)); // not where a finger scrolls
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  new MutationObserver(repaint).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  new ResizeObserver(() => {
    lens.moved();
    later();
  }).observe(lens.table);
  const first = decodeReading(data);
  show(first, data.ids.length - 1);
  if (window.gptcliLive) {
    writing(state, window.gptcliLive, { text, next, show });
  }
}

// What all views share; ``changed`` is called after each change.
function newState(number, data, changed) {
  return {
    number,
    scale: data.scale,
    options: data.options,
    word: (id) => data.words[id],
    reading: null,
    ask: null,
    home: 0,
    late: false,
    running: false, // draws one token after the other
    hovered: null,
    moved: false,
    layer: 0,
    headOf: 0,
    lensLayer: data.layers,
    sampling: data.start,
    get cursor() {
      return Math.min(this.hovered ?? this.home, this.reading.tokens.length - 1);
    },
    // Keep a token, and a layer of the lens.
    choose(position, layer = this.lensLayer) {
      Object.assign(this, { home: Math.min(position, this.reading.tokens.length - 1), lensLayer: layer, hovered: null, moved: true });
      changed();
    },
    // Show a token for as long as it is pointed at; ``always``: also where it is shown already.
    hover(position, layer = this.lensLayer, always = false) {
      if (position === this.hovered && layer === this.lensLayer && !always) return;
      Object.assign(this, { hovered: position, lensLayer: layer });
      changed();
    },
    // A head by its number among all.
    head(number) {
      const { heads, layers } = this.reading;
      const within = (number + heads * layers) % (heads * layers);
      Object.assign(this, { layer: Math.floor(within / heads), headOf: within % heads });
      changed();
    },
    turn(sampling) {
      this.sampling = sampling;
      if (this.reading) changed();
    },
  };
}

// The head that looks most at one token that is neither the first, nor the one before, nor the token itself.
function striking({ tokens, heads }, patterns) {
  const size = tokens.length;
  let best = [0, 0];
  patterns.forEach((pattern, place) => {
    for (let row = 3; row < size; row++) {
      for (let column = 1; column < row - 1; column++) {
        if (pattern[row * size + column] > best[1]) best = [place, pattern[row * size + column]];
      }
    }
  });
  return [Math.floor(best[0] / heads), best[0] % heads];
}

for (const figure of document.querySelectorAll("[data-explore]")) mount(figure);
