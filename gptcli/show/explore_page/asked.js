// What a reading answers, kept: a page that runs the model answers later (promises), and each question is asked once.

function asking(reading) {
  const kept = new Map();
  const once = (name, ask) => {
    if (!kept.has(name)) kept.set(name, ask());
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
  return { patterns: await Promise.all(patterns), guesses: await Promise.all(rows) };
}

// What stands under the cursor: the distributions after it and before it, and the chosen head.
async function askedHere({ reading, ask, cursor, layer, headOf }) {
  const [expected, before, pattern] = await Promise.all([
    ask.expected(cursor), cursor ? ask.expected(cursor - 1) : null, reading.layers ? ask.pattern(layer, headOf) : null,
  ]);
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
