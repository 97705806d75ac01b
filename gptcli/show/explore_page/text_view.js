// The text, each token on the colour of its surprisal. The cursor is chosen here, and in every other view.

function textView(state) {
  let live = false; // then white space is as it is, since the field lies over the tokens

  const line = make("div", { class: "text", role: "listbox", "aria-label": "The text, token by token", "aria-orientation": "horizontal", dir: "auto" });
  const legend = make("p", { class: "legend" }, "surprisal ");
  for (let bits = 0; bits <= MOST_BITS; bits += 4) {
    legend.append(make("i", { class: colour(bits / MOST_BITS), textContent: bits }), " ");
  }
  legend.append("bits");
  const box = make("div", { class: "box" }, line);
  const node = make("section", { class: "reads", "aria-label": "The text" }, box, legend);
  let tokens = [];
  let written = [];

  const read = () => write(state.reading.tokens);

  // Tokens that were typed and not read yet: those that stay keep their colours.
  function type(typed) {
    const same = typed.findIndex(({ id }, place) => id !== written[place]?.id);
    write(typed.map((each, place) => (same < 0 || place < same ? written[place] ?? each : { ...each, surprisal: null })));
  }

  function write(list) {
    written = list;
    tokens = list.map(({ text, surprisal }, place) => {
      const token = make("span", { role: "option", tabIndex: -1, "aria-selected": "false", class: surprisal === null ? "none" : colour(surprisal / MOST_BITS) });
      token.dataset.at = place;
      fill(token, text);
      token.setAttribute("aria-label", surprisal === null ? shown(text) : `${shown(text)}, ${surprisal.toFixed(1)} bits`);
      return token;
    });
    line.replaceChildren(...tokens.flatMap((token, place) => (startsWord(place) ? [live ? " " : document.createElement("wbr"), token] : [token])));
  }

  // As the field has it; a space before a word stands before its colour, where a line may break.
  const inField = (text) => (/^[\n\t]/.test(text) ? text : shown(text).replace(/^·(?=[^·])/, "").replace(/·/g, " ").replace(/⏎/g, "\n"));

  const startsWord = (place) => /^·./.test(shown(written[place].text)) && !(live && /^··/.test(shown(written[place].text)));

  function fill(token, text) {
    if (live) return token.append(inField(text));
    const parts = shown(text).split("·");
    parts.forEach((part, place) => {
      if (place) token.append(make("span", { class: "space", textContent: "·" }));
      token.append(part);
    });
  }

  function point() {
    const home = Math.min(state.home, tokens.length - 1);
    line.querySelector(".at")?.classList.remove("at");
    tokens[state.cursor]?.classList.add("at");
    line.querySelector('[tabindex="0"]')?.setAttribute("tabindex", -1);
    line.querySelector('[aria-selected="true"]')?.setAttribute("aria-selected", "false");
    tokens[home].tabIndex = 0;
    tokens[home].setAttribute("aria-selected", "true");
  }

  function above(direction) {
    const boxes = tokens.map((token) => token.getClientRects()[0]);
    const here = boxes[state.home];
    const middle = here.left + here.width / 2;
    const other = boxes.map((box, place) => [box, place]).filter(([box]) => (box.top - here.top) * direction > here.height / 2);
    if (!other.length) return state.home;
    const top = Math[direction > 0 ? "min" : "max"](...other.map(([box]) => box.top));
    const away = ([box]) => Math.abs(box.left + box.width / 2 - middle);
    return other.filter(([box]) => Math.abs(box.top - top) < here.height / 2).reduce((best, each) => (away(each) < away(best) ? each : best))[1];
  }

  line.addEventListener("keydown", (event) => {
    const last = tokens.length - 1;
    const to = {
      ArrowRight: () => Math.min(state.home + 1, last), ArrowLeft: () => Math.max(state.home - 1, 0),
      ArrowDown: () => above(1), ArrowUp: () => above(-1), Home: () => 0, End: () => last,
    }[event.key];
    if (!to || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    state.choose(to());
    tokens[state.home].focus();
  });
  function edited(field, bar) {
    live = true;
    node.classList.add("live");
    box.append(field);
    box.after(bar);
    read();
  }

  return { node, read, type, point, edited, focus: () => tokens[state.home]?.focus() };
}
