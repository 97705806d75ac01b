// The model: the engine in C, compiled to WebAssembly, with the weights of the page. Nothing here knows the page: it runs in
// a worker, and in node for tests.
//
// Shapes: L layers, H heads, D head size, C width, V vocabulary; T tokens of a text. Layers and heads count from 0.
"use strict";

function gptcliEngine() {
  const { unpacked, reader, addPrediction } = gptcliUnpack();
  const INT8 = 3; // a kind of matrix
  const ONE_TEXT = 1; // a mode of gptcli_read
  const PIECE = 256; // tokens that are read at once
  const ROWS = 8; // rows of logits that are computed at once: each weight is read once for all of them
  const GUESSES = 10; // tokens at each place of the lens
  const OVERREAD = 256; // bytes behind the weights and the cache that vectors may read
  const NO_MEMORY = "the browser has no memory for this model";
  const OVERFLOW = "the model's logits are not finite: its numbers overflow";
  const SILENT = -1e30; // the logit of ids without a token, as in Python

  // --- the engine's memory -------------------------------------------------------------------------------------------------

  let c; // what the library exports
  let about; // the page's description of the model (pack.py)
  let engine; // the model's address
  let capacity = 0; // in tokens, of the cache and of what is recorded
  let at; // addresses of these, for the capacity
  let known = []; // the tokens that the cache holds
  let surprisals = []; // of those of them for which it was asked
  let patterns = new Map(); // of these tokens, by layer

  const f32 = (address, count) => new Float32Array(c.memory.buffer, address, count);
  const i32 = (address, count) => new Int32Array(c.memory.buffer, address, count);
  const u8 = (address, count) => new Uint8Array(c.memory.buffer, address, count);

  function allocate(bytes) {
    const address = c.malloc(bytes + OVERREAD);
    if (!address) throw new Error(NO_MEMORY);
    return address;
  }

  function placed(Kind, numbers) {
    if (!numbers) return 0;
    const address = allocate(numbers.length * 4);
    new Kind(c.memory.buffer, address, numbers.length).set(numbers);
    return address;
  }

  // The structure gptcli_shape of native.h.
  function newModel() {
    const { integers, floats, scales, windows, tables, slopes } = about.shape;
    const ints = [placed(Float32Array, scales), placed(Int32Array, windows), placed(Int32Array, tables), placed(Float32Array, slopes)];
    const shape = allocate((integers.length + floats.length + ints.length) * 4);
    i32(shape, integers.length).set(integers);
    f32(shape + integers.length * 4, floats.length).set(floats);
    i32(shape + (integers.length + floats.length) * 4, ints.length).set(ints);
    engine = c.gptcli_new(shape, 1, 0, about.cache_bytes === 2 ? 1 : 0);
    if (!engine) throw new Error(NO_MEMORY);
  }

  function fillMatrix(packed, { which, layer, kind, rows, columns, row_bytes, predicted }) {
    const numbers = allocate(rows * row_bytes);
    const scales = kind === INT8 ? placed(Float32Array, packed.numbers(Float32Array, rows)) : 0;
    if (predicted) addPrediction(packed, f32(scales, rows), columns, new Int8Array(c.memory.buffer, numbers, rows * columns));
    else u8(numbers, rows * row_bytes).set(packed.take(rows * row_bytes));
    c.gptcli_borrow_matrix(engine, which, layer, kind, rows, columns, numbers, scales);
  }

  function fillVector(packed, { which, layer, count }) {
    const values = placed(Float32Array, packed.numbers(Float32Array, count));
    if (c.gptcli_fill_vector(engine, which, layer, values, count)) throw new Error(NO_MEMORY);
    c.free(values);
  }

  // Cosines and sines of the rotary angles, [position][cosines, then sines], rounded as in positions.py.
  function rotaryTable({ frequencies, factor }, length) {
    const half = frequencies.length;
    const table = new Float32Array(length * 2 * half);
    for (let position = 0; position < length; position++)
      for (let i = 0; i < half; i++) {
        const angle = Math.fround(position * Math.fround(frequencies[i]));
        table[position * 2 * half + i] = Math.fround(Math.cos(angle)) * factor;
        table[(position * 2 + 1) * half + i] = Math.fround(Math.sin(angle)) * factor;
      }
    return table;
  }

  // Make the cache large enough for a text; what it held is forgotten then.
  function reach(length) {
    if (length <= capacity) return;
    const room = Math.min(Math.max(length, 2 * capacity, 128), about.n_positions);
    for (const address of Object.values(at || {}).flat()) c.free(address);
    [capacity, known, surprisals, patterns] = [0, [], [], new Map()];
    const tables = about.rotary.map((table) => (table ? placed(Float32Array, rotaryTable(table, room)) : 0));
    at = {
      tables,
      turns: placed(Int32Array, tables),
      growth: about.growth ? placed(Float32Array, about.growth.slice(0, room)) : 0,
      cache: allocate(room * about.cached_per_token * about.cache_bytes),
      stream: allocate((about.layers + 1) * room * about.width * 4),
      queries: allocate(about.layers * room * about.heads * about.head_size * 4),
    };
    capacity = room;
  }

  // Call with memory for so many numbers of four bytes each, which is free again afterwards.
  function within(counts, call) {
    const places = counts.map((count) => allocate(count * 4));
    try {
      return call(...places);
    } finally {
      places.forEach((address) => c.free(address));
    }
  }

  // --- reading -------------------------------------------------------------------------------------------------------------

  // Read tokens that follow those in the cache. The residual stream and the queries are recorded, as gptcli_hooks says.
  function extend(ids) {
    const [m, start] = [ids.length, known.length];
    const stream = at.stream + start * about.width * 4;
    const queries = at.queries + start * about.heads * about.head_size * 4;
    within([3 * m, 14], (numbers, hooks) => {
      i32(numbers, 3 * m).set([...ids, ...ids.map(() => 0), ...ids.map((_, i) => start + i)]);
      i32(hooks, 14).set([stream, queries, 0, 0, 0, 0, 0, 0, capacity, 0, 0, 0, 0, 0]);
      const [rows, positions] = [numbers + 4 * m, numbers + 8 * m];
      const text = [m, numbers, rows, positions, ONE_TEXT, at.turns, at.growth, at.cache, 1, capacity];
      if (c.gptcli_read(engine, ...text, 0, 0, 0, 0, about.layers, hooks)) throw new Error(NO_MEMORY);
    });
    known.push(...ids);
  }

  // Make the cache hold this text; what it shares with the latest text is not read again.
  function ensure(ids) {
    if (!ids.length) throw new Error("there is no token to read");
    const most = about.n_positions;
    if (ids.length > most) throw new Error(`the text has ${ids.length} tokens, and this page reads ${most} at most: shorten it`);
    reach(ids.length);
    let same = 0;
    while (same < ids.length && known[same] === ids[same]) same++;
    if (same === ids.length) return;
    known.length = same;
    surprisals.length = Math.min(surprisals.length, same);
    patterns.clear();
    for (let from = same; from < ids.length; from += PIECE) extend(ids.slice(from, from + PIECE));
  }

  // Call with the logits [n, V] of places [layer, position] of the residual stream: the final norm and the unembedding.
  function unembedded(places, call) {
    const [C, V] = [about.width, about.vocab_size];
    return within([places.length * C, places.length * V], (rows, logits) => {
      places.forEach(([layer, position], i) => {
        f32(rows + i * C * 4, C).set(f32(at.stream + (layer * capacity + position) * C * 4, C));
      });
      if (c.gptcli_unembed(engine, places.length, rows, logits)) throw new Error(NO_MEMORY);
      for (let i = 0; i < places.length; i++) for (const id of about.unused) f32(logits, (i + 1) * V)[i * V + id] = SILENT;
      return call(logits);
    });
  }

  // The surprisals of the tokens at these positions, in bits.
  function measure(positions) {
    const n = positions.length;
    const before = positions.map((position) => [about.layers, position - 1]);
    unembedded(before, (logits) =>
      within([n, n, n, 2 * 3 * n], (following, best, rank, facts) => {
        i32(following, n).set(positions.map((position) => known[position]));
        if (c.gptcli_read_logits(logits, n, about.vocab_size, about.n_vocab, following, best, rank, facts)) throw new Error(OVERFLOW);
        const numbers = new Float64Array(c.memory.buffer, facts, 3 * n);
        positions.forEach((position, i) => (surprisals[position] = -numbers[3 * i + 2] / Math.LN2));
      }),
    );
  }

  // All tokens from the best down; of equal ones the lower id first. In `keys` a logit's bits, turned so that they order as it
  // does, are above the id.
  function ranked(logits) {
    const n = logits.length;
    const bits = new Int32Array(logits.buffer);
    const keys = new Float64Array(n);
    for (let id = 0; id < n; id++) {
      const down = bits[id] < 0 ? 0x80000000 + (bits[id] & 0x7fffffff) : 0x7fffffff - bits[id];
      keys[id] = down * 0x100000 + id;
    }
    keys.sort();
    const [ids, sorted] = [new Int32Array(n), new Float32Array(n)];
    for (let rank = 0; rank < n; rank++) {
      ids[rank] = keys[rank] - Math.floor(keys[rank] / 0x100000) * 0x100000;
      sorted[rank] = logits[ids[rank]];
    }
    return { ids, logits: sorted, rest: [] };
  }

  // --- what is asked of it -------------------------------------------------------------------------------------------------

  // `library`, `weights`: compressed bytes as text; `sizes`: how many bytes; `description`: of the model (pack.py).
  async function start({ library, weights, sizes, description }) {
    about = description;
    const { instance } = await WebAssembly.instantiate(await unpacked(library, sizes.library), {});
    c = instance.exports;
    const packed = reader(await unpacked(weights, sizes.weights));
    newModel();
    for (const matrix of about.matrices) fillMatrix(packed, matrix);
    for (const vector of about.vectors) fillVector(packed, vector);
  }

  // The surprisal of each token in bits; null for the first.
  function read(ids) {
    ensure(ids);
    const missing = ids.map((_, i) => i).filter((i) => i && surprisals[i] === undefined);
    for (let from = 0; from < missing.length; from += ROWS) measure(missing.slice(from, from + ROWS));
    return ids.map((_, i) => (i ? surprisals[i] : null));
  }

  // The logits after a token: [V].
  function logitsAfter(ids, position) {
    ensure(ids);
    return unembedded([[about.layers, position]], (logits) => f32(logits, about.n_vocab).slice());
  }

  const next = (ids) => logitsAfter(ids, ids.length - 1);
  const distribution = (ids, position) => ranked(logitsAfter(ids, position));

  // Where a head looks: [T, T], a row for each token that looks.
  function pattern(ids, layer, head) {
    ensure(ids);
    const T = ids.length;
    const key = `${layer} ${T}`; // the cache may hold more tokens than this text
    if (!patterns.has(key)) {
      const queries = at.queries + layer * capacity * about.heads * about.head_size * 4;
      const keys = at.cache + layer * capacity * (about.cached_per_token / about.layers) * about.cache_bytes;
      const all = within([about.heads * T * T], (out) => {
        if (c.gptcli_pattern(engine, layer, T, 0, queries, keys, capacity, 0, out)) throw new Error(NO_MEMORY);
        return f32(out, about.heads * T * T).slice();
      });
      patterns.set(key, all);
    }
    return patterns.get(key).slice(head * T * T, (head + 1) * T * T);
  }

  // The best tokens at places [layer, position] of the residual stream; layer 0 is the embedding, L what the model answers.
  function lens(ids, places) {
    ensure(ids);
    const k = Math.min(GUESSES, about.n_vocab);
    return unembedded(places, (logits) =>
      within([k, k, 2], (indices, values, total) =>
        places.map((_, i) => {
          if (c.gptcli_shortlist(logits + i * about.vocab_size * 4, about.n_vocab, k, indices, values, total)) throw new Error(OVERFLOW);
          const [sum] = new Float64Array(c.memory.buffer, total, 1);
          const [ids, best] = [[...i32(indices, k)], [...f32(values, k)]];
          return ids.map((id, rank) => ({ id, probability: Math.exp(best[rank] - sum) }));
        }),
      ),
    );
  }

  return { ROWS, start, read, next, distribution, pattern, lens };
}

if (typeof module !== "undefined") module.exports = { gptcliEngine };
