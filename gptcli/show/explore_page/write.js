// Writing on a page that runs the model: the text is edited in place, and its next token taken, chosen or drawn.

const SETTLE = 120; // milliseconds without a key before lens and attention are computed

function writing(state, live, { text, next, show }) {
  const field = make("textarea", { class: "field", spellcheck: false, autocapitalize: "off", autocomplete: "off" });
  field.setAttribute("aria-label", "The text: type, Tab takes the best next token, Escape leaves");
  const button = (label, key, act) => {
    const made = make("button", { type: "button" }, label, " ", make("kbd", { textContent: key }));
    made.addEventListener("click", act);
    return made;
  };
  const best = button("take the best", "Tab", () => take(1));
  const drawn = button("draw one", "d", draw);
  const running = button("write on", "r", () => run(!state.running));
  const undone = button("undo", "u", undo);
  const told = make("p", { class: "facts", role: "status", textContent: "The model is being unpacked …" });
  const bar = make("div", { class: "write" }, best, drawn, running, undone, told);
  const steps = [];
  let ids = state.reading.tokens.map(({ id }) => id);
  let waiting = null;
  let busy = false;
  let ends = [];

  // Read these ids; of several in a hurry only the newest.
  async function read(wanted, place) {
    [ids, waiting] = [wanted, { wanted, place }];
    undone.disabled = !steps.length;
    if (busy) return;
    busy = true;
    while (waiting) {
      const here = waiting;
      waiting = null;
      try {
        const reading = await live.read(here.wanted);
        if (!waiting) await arrived(reading, here.place);
        told.textContent = "";
      } catch (error) {
        told.textContent = error.message;
        run(false);
      }
    }
    busy = false;
  }

  async function arrived(reading, place) {
    let end = 0;
    ends = reading.tokens.map((token) => (end += token.text.length));
    if (field.value !== reading.text && (place === null || document.activeElement !== field)) field.value = reading.text;
    await show(reading, place ?? reading.tokens.length - 1);
    best.disabled = drawn.disabled = running.disabled = ids.length >= live.nPositions;
    if (state.running) setTimeout(draw, 60);
  }

  function keep() {
    steps.push([...ids]);
    if (steps.length > 500) steps.shift();
  }

  // The token of a rank after the cursor; what stood behind the cursor goes.
  async function take(rank) {
    const at = state.home;
    const expected = await state.ask.expected(at);
    const id = expected.ids[rank - 1];
    if (id === undefined) return;
    keep();
    read([...ids.slice(0, at + 1), id], null);
  }

  // A token by the probabilities of the sliders.
  async function draw() {
    const expected = await state.ask.expected(state.home);
    const chosen = choose(expected, state.sampling);
    let left = Math.random();
    for (let rank = 1; rank <= expected.ids.length; rank++) {
      left -= chosen.probability(rank, expected.logits[rank - 1]);
      if (left < 0 || rank === chosen.kept) return take(rank);
    }
  }

  function run(on) {
    state.running = on;
    running.setAttribute("aria-pressed", String(on));
    if (on) draw();
  }

  function undo() {
    run(false);
    if (steps.length) read(steps.pop(), null);
  }

  const before = (offset) => Math.max(ends.findLastIndex((end) => end <= offset), 0);

  field.addEventListener("input", () => {
    run(false);
    keep();
    const typed = live.encode(field.value);
    text.type(typed.map((id) => ({ id, text: live.token(id) })));
    if (!typed.length) return;
    let end = 0;
    ends = typed.map((id) => (end += live.token(id).length));
    read(typed, before(field.selectionStart));
  });
  document.addEventListener("selectionchange", () => {
    if (document.activeElement === field && !busy) state.choose(before(field.selectionStart));
  });
  field.addEventListener("pointermove", (event) => {
    const token = document.elementsFromPoint(event.clientX, event.clientY).find((each) => each.matches(".text [data-at]"));
    state.hover(token ? +token.dataset.at : null);
  });
  const act = { " ": () => take(1), Tab: () => take(1), d: draw, u: undo, r: () => run(!state.running) };
  for (let digit = 1; digit <= 9; digit++) act[digit] = () => take(digit);

  // Keys: in the field only Tab and undo, on the tokens and the lens all of them.
  function pressed(event) {
    if (field.disabled || event.altKey) return;
    if (event.target === field) {
      if (event.key === "Tab" && !event.shiftKey && field.selectionStart === field.value.length) return does(event, act.Tab);
      if (event.key === "z" && (event.ctrlKey || event.metaKey)) return does(event, undo);
      if (event.key === "Escape") return does(event, text.focus);
    } else if (!event.ctrlKey && !event.metaKey && event.key !== "Tab" && under(event, "[data-at]") && act[event.key]) {
      does(event, act[event.key]);
    }
  }

  function does(event, action) {
    event.preventDefault();
    action();
  }

  for (const each of [field, best, drawn, running, undone]) each.disabled = true;
  next.takes(take);
  text.edited(field, bar);
  live.ready.then(() => {
    for (const each of [field, best, drawn, running]) each.disabled = false;
    told.textContent = "";
    read(ids, null);
  }, (error) => (told.textContent = error.message));
  return pressed;
}
