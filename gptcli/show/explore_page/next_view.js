// What the model expects after the token under the cursor, at the sliders' settings, and what came.

const LISTED = 12;
const FULL = [1, 0.5, 0.25, 0.1, 0.05, 0.02, 0.01]; // probabilities that a full bar may stand for
const TOP_K = [1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 40, 50, 75, 100, 150, 200, 300, 500, 750, 1000, 2000, 5000, 10000, 20000, 0];

function nextView(state) {
  const title = make("h3", { textContent: "What comes next" });
  const context = make("p", { class: "context", dir: "auto" });
  const own = make("p", { class: "facts" });
  const rows = Array.from({ length: LISTED + 2 }, () => {
    const made = make("tr", {}, make("th", { scope: "row" }), make("td", { class: "figure" }), make("td", { class: "bar" }, bar()));
    return made;
  });
  let full = 1;
  const body = make("tbody", {}, ...rows);
  const table = make("table", { class: "next" }, make("caption", { class: "unseen", textContent: "The most probable next tokens" }), body);
  const facts = make("p", { class: "facts", role: "status" });
  const command = make("code");
  const sliders = make("div", { class: "sliders" });
  const reset = make("button", { type: "button", class: "reset", textContent: "reset" });
  const start = state.sampling;
  const stops = [...new Set([...TOP_K, start.topK])].sort((one, other) => (one || Infinity) - (other || Infinity));
  const settings = [
    slider("temperature", { min: 0, max: Math.max(5, start.temperature), step: 0.05 }, start.temperature, 1, Number, told),
    slider("top-k", { min: 0, max: stops.length - 1, step: 1 }, stops.indexOf(start.topK), stops.length - 1, (place) => stops[place], (k) => (k ? whole(k) : "all")),
    slider("top-p", { min: Math.min(0.01, start.topP), max: 1, step: 0.01 }, start.topP, 1, Number, told),
  ];
  sliders.append(...settings.map(({ node }) => node), reset);
  reset.addEventListener("click", () => {
    for (const each of settings) each.input.value = each.neutral;
    turned();
  });
  const node = make("section", { class: "expects", "aria-label": "The next token" }, title, context, own, table, sliders, facts,
    make("p", { class: "same" }, command));

  // Moves in steps, but begins at any value.
  function slider(name, range, first, neutral, read, tell) {
    const id = `${name}-${state.number}`;
    const input = make("input", { type: "range", id, min: range.min, max: range.max, step: "any" });
    input.value = first;
    const output = make("output", { htmlFor: id });
    input.addEventListener("input", () => {
      input.value = Math.round(input.value / range.step) * range.step;
      turned();
    });
    input.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
      if (!by) return;
      event.preventDefault();
      input.value = (Math.round(input.value / range.step) + by) * range.step;
      turned();
    });
    return { input, output, neutral, told: tell, value: () => read(Number(input.value)), node: make("div", { class: "slider" }, make("label", { htmlFor: id, textContent: name }), input, output) };
  }

  function turned() {
    const [temperature, topK, topP] = settings.map((each) => each.value());
    for (const each of settings) {
      each.output.textContent = each.told(each.value());
      each.input.setAttribute("aria-valuetext", each.output.textContent);
    }
    state.turn({ temperature, topK, topP });
  }

  function point({ expected, came, own: itself }) {
    const { reading, cursor, sampling } = state;
    const chosen = choose(expected, sampling);
    const count = Math.min(LISTED, expected.ids.length);
    context.replaceChildren(...tail(reading, cursor), make("b", { class: came ? "blank known" : "blank", textContent: came ? shown(came.text) : "?" }));
    own.textContent = itself ? ownFacts(reading.tokens[cursor], itself) : "";
    const beyond = came !== null && came.rank > count;
    full = FULL.findLast((each) => each >= chosen.probability(1, expected.logits[0]));
    for (let place = 0; place < LISTED; place++) {
      rows[place].hidden = place >= count;
      if (place >= count) continue;
      const id = expected.ids[place];
      row(rows[place], shown(state.word(id) ?? `<${id}>`), place + 1, expected.logits[place], chosen, came?.id === id);
    }
    rows[LISTED].hidden = !beyond;
    if (beyond) row(rows[LISTED], `${whole(came.rank)}. ${shown(came.text)}`, came.rank, came.logit, chosen, true);
    const rest = Math.max(chosen.rest(count) - (beyond ? chosen.probability(came.rank, came.logit) : 0), 0);
    plain(rows[LISTED + 1], `${whole(chosen.size - count - (beyond ? 1 : 0))} more`, rest);
    const among = 2 ** chosen.entropy;
    facts.textContent = `${chosen.exact ? "" : "about "}${whole(chosen.kept)} of ${whole(chosen.size)} can be drawn · entropy ${chosen.entropy.toFixed(3)} bits, as among ${among.toLocaleString("en", { maximumSignificantDigits: 3 })}`;
    command.textContent = commandOf(reading, cursor, state.options, sampling);
  }

  function row(made, label, rank, logit, chosen, came) {
    const cut = chosen.cut(rank);
    const probability = chosen.probability(rank, logit);
    made.className = [came ? "chosen" : "", cut ? "cut" : ""].join(" ").trim();
    (made.cells[0].firstElementChild ?? made.cells[0]).textContent = label;
    made.cells[1].textContent = cut ?? percent(probability);
    made.cells[1].dataset.probability = probability;
    made.cells[2].firstChild.style.transform = `scaleX(${probability / full})`;
    made.setAttribute("aria-current", came ? "true" : "false");
  }

  function plain(made, label, probability) {
    made.className = "dim";
    made.cells[0].textContent = label;
    made.cells[1].textContent = percent(probability);
    made.cells[1].dataset.probability = probability;
    made.cells[2].textContent = `a full bar is ${full * 100}%`;
  }

  // On a page that runs the model a candidate can be taken.
  function takes(take) {
    node.classList.add("takes");
    rows.slice(0, LISTED).forEach((made, place) => {
      const button = make("button", { type: "button", class: "take" });
      button.addEventListener("click", () => take(place + 1));
      made.cells[0].replaceChildren(button);
      made.dataset.digit = place < 9 ? place + 1 : "";
    });
  }

  turned();
  return { node, point, takes };
}

// A number with two digits, more only where it has more.
const told = (value) => (Math.abs(value * 100 - Math.round(value * 100)) < 1e-9 ? value.toFixed(2) : `${+value.toPrecision(6)}`);

// The last few tokens before the gap.
function tail(reading, cursor) {
  const first = Math.max(cursor - 7, 0);
  return [first ? "… " : "", ...reading.tokens.slice(first, cursor + 1).map(({ text }) => shown(text).replace(/·/g, " ")), "\u00a0"];
}

// How the token under the cursor itself was expected.
function ownFacts({ text, surprisal }, { rank }) {
  return `${shown(text)} itself came with ${percent(2 ** -surprisal)} (rank ${whole(rank)}, ${surprisal.toFixed(2)} bits)`;
}

// The command that prints the same numbers; "" where its prompt cannot be typed in a line.
function commandOf(reading, cursor, chosen, { temperature, topK, topP }) {
  const prompt = reading.prompt ? reading.prompt(cursor) : reading.tokens.slice(0, cursor + 1).map(({ text }) => text).join("");
  if (!prompt || shown(prompt).replace(/·/g, " ") !== prompt || prompt.includes("\\")) return "";
  const typed = `'${prompt.replace(/'/g, "'\\''")}'`;
  const options = [temperature === 1 ? "" : ` -t ${+temperature.toPrecision(6)}`, topK ? ` -k ${topK}` : "", topP < 1 ? ` -p ${+topP.toPrecision(6)}` : ""];
  return `gptcli logits ${typed}${chosen}${options.join("")}`;
}
