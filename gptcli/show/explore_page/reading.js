// A reading out of the page's own data: what the views draw of a text.
//
// reading = { text, layers, heads, tokens: [{ id, text, surprisal }],
//   distribution(position) -> { ids, logits (best first), rest: [{ count, logit }], came },
//   pattern(layer, head) -> Float32Array [T * T] (a row for each token that looks; layer and head from 0),
//   lens(layer, position) -> [{ id, text, probability }] (layer 0: the embedding; the last: the model's own answer) }
//
// ``came`` is { id, logit, rank } of the token that follows, where one does and the page knows it.

function decoded(text, Kind) {
  return new Kind(Uint8Array.from(atob(text), (character) => character.charCodeAt(0)).buffer);
}

function decodeReading(data) {
  const size = data.ids.length;
  const word = (id) => data.words[id] ?? `<${id}>`;
  const best = decoded(data.best, Int32Array);
  const logits = decoded(data.logits, Float32Array);
  const listed = logits.length / size;
  const rest = decoded(data.rest, Float32Array);
  const starts = data.bins.reduce((made, count) => [...made, made.at(-1) + count], [0]);
  const came = decoded(data.came.logits, Float32Array);
  const pattern = decoded(data.pattern, Uint16Array);
  const triangle = (size * (size + 1)) / 2;
  const guesses = decoded(data.guesses, Int32Array);
  const shares = decoded(data.shares, Float32Array);

  return {
    text: data.text,
    layers: data.layers,
    heads: data.heads,
    tokens: data.ids.map((id, place) => ({ id, text: word(id), surprisal: place ? data.came.bits[place - 1] : null })),
    word,
    prompt: (position) => (data.ends[position] === null ? null : data.text.slice(0, data.ends[position])),
    distribution(position) {
      const bins = [];
      for (let place = starts[position]; place < starts[position + 1]; place++) {
        bins.push({ count: rest[2 * place], logit: rest[2 * place + 1] });
      }
      return {
        ids: best.subarray(position * data.named, (position + 1) * data.named),
        logits: logits.subarray(position * listed, (position + 1) * listed),
        rest: bins,
        came: position + 1 < size ? { id: data.ids[position + 1], logit: came[position], rank: data.came.ranks[position] } : null,
      };
    },
    pattern(layer, head) {
      const whole = new Float32Array(size * size);
      let place = (layer * data.heads + head) * triangle;
      for (let row = 0; row < size; row++) {
        for (let column = 0; column <= row; column++) whole[row * size + column] = pattern[place++] / 65535;
      }
      return whole;
    },
    lens(layer, position) {
      const first = (layer * size + position) * data.guessed;
      return Array.from({ length: data.guessed }, (_, place) => ({
        id: guesses[first + place], text: word(guesses[first + place]), probability: shares[first + place],
      }));
    },
  };
}
