// Writing on a page that runs the model: the text is edited in place, and its next token taken, chosen or drawn.

const SETTLE = 120; // milliseconds without a key before lens and attention are computed
const MOST_STEPS = 500; // that can be undone

function writing(state, live, { text, next, show }) {
  const field = make("textarea", { class: "field", spellcheck: false, autocapitalize: "off", autocomplete: "off" });
  field.setAttribute("aria-label", "The text: type, Tab takes the best next token, Escape leaves");
  const button = (label, key, act) => {
    const made = make("button", { type: "button" }, label, " ", make("kbd", { textContent: key }));
    made.addEventListener("click", act);
    return made;
  };
  const best = button("take the best", "Space", () => act(() => take(1)));
  const drawn = button("draw one", "d", () => act(draw));
  const running = button("write on", "r", () => run(!state.running));
  const undone = button("undo", "u", undo);
  const told = make("p", { class: "facts", role: "status", textContent: "The model is being unpacked …" });
  const bar = make("div", { class: "write" }, best, drawn, running, undone, told);
  const steps = [];
  const buttons = [best, drawn, running];
  let ids = state.reading.tokens.map(({ id }) => id);
  let ends = endsOf(state.reading.tokens);
  let waiting = null;
  let reading = null; // the promise of all that is being read
  let acting = Promise.resolve();
  let acts = 0;

  // Read these ids; of several in a hurry only the newest.
  function read(wanted, place) {
    [ids, waiting] = [wanted, { wanted, place }];
    undone.disabled = !steps.length;
    reading ??= readAll().finally(() => (reading = null));
    return reading;
  }

  async function readAll() {
    while (waiting) {
      const { wanted, place } = waiting;
      waiting = null;
      try {
        const made = await live.read(wanted);
        if (!waiting) arrived(made, place);
        told.textContent = "";
      } catch (error) {
        told.textContent = error.message;
        run(false);
      }
    }
  }

  function arrived(made, place) {
    ends = endsOf(made.tokens);
    if (place === null) field.value = made.text;
    show(made, place ?? made.tokens.length - 1);
    for (const each of buttons) each.disabled = ids.length >= live.nPositions;
    if (state.running) setTimeout(() => act(draw), 60);
  }

  function keep() {
    steps.push([...ids]);
    if (steps.length > MOST_STEPS) steps.shift();
  }

  // One after the other, as each begins where the last one ended; a key that is held does not pile up.
  function act(action) {
    if (acts >= 3 || field.disabled) return;
    acts++;
    acting = acting.then(action).finally(() => acts--);
  }

  // The token of a rank after the cursor; what stood behind the cursor goes.
  async function take(rank, expected = null) {
    const at = state.home;
    const id = (expected ?? (await state.ask.expected(at)))?.ids[rank - 1];
    if (id === undefined || !ids.length) return;
    keep();
    await read([...ids.slice(0, at + 1), id], null);
  }

  // A token by the probabilities of the sliders.
  async function draw() {
    let expected = await state.ask.expected(state.home);
    if (expected.rest.length) expected = await (await live.read(ids)).distribution(state.home); // the page's own data lists a part
    const chosen = choose(expected, state.sampling);
    let left = Math.random();
    for (let rank = 1; rank <= expected.ids.length; rank++) {
      left -= chosen.probability(rank, expected.logits[rank - 1]);
      if (left < 0 || rank >= chosen.kept) return take(rank, expected);
    }
  }

  function run(on) {
    state.running = on;
    running.setAttribute("aria-pressed", String(on));
    if (on) act(draw);
  }

  function undo() {
    run(false);
    if (steps.length) read(steps.pop(), null);
  }

  const before = (offset) => Math.max(ends.findLastIndex((end) => end <= offset), 0);

  field.addEventListener("input", () => {
    run(false);
    keep();
    const typed = live.encode(field.value).map((id) => ({ id, text: live.token(id) }));
    text.type(typed);
    ends = endsOf(typed);
    if (typed.length) read(typed.map(({ id }) => id), before(field.selectionStart));
    else ids = [];
  });
  document.addEventListener("selectionchange", () => {
    if (document.activeElement === field && !reading && ids.length) state.choose(before(field.selectionStart));
  });
  field.addEventListener("pointermove", (event) => {
    const token = document.elementsFromPoint(event.clientX, event.clientY).find((each) => each.matches(".text [data-at]"));
    state.hover(token ? +token.dataset.at : null);
  });

  const keys = { " ": () => act(() => take(1)), d: () => act(draw), u: undo, r: () => run(!state.running) };
  for (let digit = 1; digit <= 9; digit++) keys[digit] = () => act(() => take(digit));

  // In the field, Tab at its end and Escape; elsewhere, where no control has the key, all of them.
  document.addEventListener("keydown", (event) => {
    if (field.disabled || event.altKey || event.defaultPrevented) return;
    const command = event.ctrlKey || event.metaKey;
    if (event.target === field) {
      if (event.key === "Tab" && !event.shiftKey && field.selectionStart === field.value.length) does(event, keys[" "]);
      else if (event.key === "Enter" && command) does(event, keys.d);
      else if (event.key === "z" && command && steps.length) does(event, undo);
      else if (event.key === "Escape") does(event, text.focus);
    } else if (!command && keys[event.key] && (event.target === document.body || under(event, ".explore [data-at]"))) {
      does(event, keys[event.key]);
    }
  });

  function does(event, action) {
    event.preventDefault();
    action();
  }

  for (const each of [field, ...buttons, undone]) each.disabled = true;
  field.value = state.reading.text;
  next.takes((rank) => act(() => take(rank)));
  text.edited(field, bar);
  live.ready.then(() => {
    const known = state.word;
    state.word = (id) => known(id) ?? live.token(id);
    for (const each of [field, ...buttons]) each.disabled = false;
    told.textContent = "The model runs in this page. Space takes the best next token, 1 to 9 another.";
  }, (error) => (told.textContent = error.message));
}

// Where each token ends in the text.
function endsOf(tokens) {
  let end = 0;
  return tokens.map(({ text }) => (end += text.length));
}
