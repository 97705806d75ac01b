// What a reading answers, kept: a page that runs the model answers later (promises), and each question is asked once.
// The answer is null where a newer text has come meanwhile, and then it is not kept.

function asking(reading) {
  const kept = new Map();
  const once = (name, ask) => {
    if (!kept.has(name)) {
      const answer = Promise.resolve(ask()).then((given) => given ?? (kept.delete(name), null));
      kept.set(name, answer);
    }
    return kept.get(name);
  };
  return {
    expected: (position) => once(`expected ${position}`, () => reading.distribution(position)),
    pattern: (layer, head) => once(`pattern ${layer} ${head}`, () => reading.pattern(layer, head)),
    lens: (layer, position) => once(`lens ${layer} ${position}`, () => reading.lens(layer, position)),
  };
}

// Every head's weights, and what every layer would say after every token: [layers + 1][T].
async function askedWhole(reading, ask) {
  const { layers, heads, tokens } = reading;
  const patterns = Array.from({ length: layers * heads }, (_, place) => ask.pattern(Math.floor(place / heads), place % heads));
  const rows = Array.from({ length: layers + 1 }, (_, layer) => Promise.all(tokens.map((_, position) => ask.lens(layer, position))));
  const whole = { patterns: await Promise.all(patterns), guesses: await Promise.all(rows) };
  return whole.patterns.includes(null) || whole.guesses.some((row) => row.includes(null)) ? null : whole;
}

// What stands under the cursor: the distributions after it and before it, and the chosen head; null as above.
async function askedHere({ reading, ask, cursor, layer, headOf, late }) {
  const [expected, before, pattern] = await Promise.all([
    ask.expected(cursor), cursor ? ask.expected(cursor - 1) : null, reading.layers && !late ? ask.pattern(layer, headOf) : null,
  ]);
  if (!expected) return null;
  return { expected, came: cameAfter(reading, cursor, expected), own: before && cameAfter(reading, cursor - 1, before), pattern };
}

// The token that follows a position, with its logit and rank; null after the last.
function cameAfter(reading, position, expected) {
  const next = reading.tokens[position + 1];
  if (!next) return null;
  if (expected.came) return { ...expected.came, text: next.text };
  const place = expected.ids.indexOf(next.id);
  return place < 0 ? null : { id: next.id, text: next.text, logit: expected.logits[place], rank: place + 1 };
}
