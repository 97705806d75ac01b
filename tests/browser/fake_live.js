// A model for tests: each character is a token, and what follows depends on the last one alone. Answers come later.
window.gptcliLive = (() => {
  const SIZE = 128;
  const later = (answer) => new Promise((done) => setTimeout(() => done(answer), 2));
  const logit = (last, id) => ((last * 7 + id * 13) % 31) / 3 + (id >= 97 && id < 123 ? 4 : 0) - id / 1000;
  const distribution = (last) => {
    const ids = Int32Array.from({ length: SIZE }, (_, id) => id).sort((one, other) => logit(last, other) - logit(last, one));
    return { ids, logits: Float32Array.from(ids, (id) => logit(last, id)), rest: [] };
  };
  const token = (id) => String.fromCodePoint(id);
  const read = (ids) => ({
    text: ids.map(token).join(""),
    layers: 2,
    heads: 2,
    tokens: ids.map((id, place) => ({ id, text: token(id), surprisal: place ? id % 16 : null })),
    distribution: (position) => later(distribution(ids[position])),
    pattern: (layer, head) => later(Float32Array.from({ length: ids.length ** 2 }, (_, at) => {
      const [row, column] = [Math.floor(at / ids.length), at % ids.length];
      return column <= row ? 1 / (row + 1) : 0;
    })),
    lens: (layer, position) => later([...distribution(ids[position]).ids].slice(layer, layer + 5)
      .map((id, place) => ({ id, text: token(id), probability: 0.5 / (place + 1) }))),
  });
  const calls = [];
  return {
    calls, ready: later(), nPositions: 60, vocabSize: SIZE, layers: 2, heads: 2, token,
    encode: (text) => [...text].map((character) => Math.min(character.codePointAt(0), SIZE - 1)),
    read: (ids) => {
      calls.push(ids.length);
      return ids.length > 60 ? Promise.reject(new Error("60 tokens are the most: <b>shorten</b> the text")) : later(read(ids));
    },
    next: (ids) => later(new Float32Array(SIZE)),
  };
})();
