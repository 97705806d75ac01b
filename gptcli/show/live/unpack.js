// What the page holds as text, as bytes and numbers again. Nothing here knows the page: it runs in a worker too.
"use strict";

function gptcliUnpack() {
  // Seven bits a character; see text_encoding.py. A character from U+00A0 on stands for a code that a page cannot hold, and
  // for the one after it.
  const UNHELD = [0, 5, 7, 8, 10, 13, 14, 15, 26, 27, 38, 60, 62, 127];

  function decodeText(text, size) {
    const bytes = new Uint8Array(Math.ceil((text.length * 7) / 4));
    let [at, held, bits] = [0, 0, 0];
    for (let i = 0; i < text.length; i++) {
      let code = text.charCodeAt(i);
      if (code >= 0xa0) {
        held = (held << 7) | UNHELD[(code - 0xa0) >> 7];
        bits += 7;
        if (bits >= 8) bytes[at++] = held >> (bits -= 8);
        code = (code - 0xa0) & 127;
      }
      held = ((held & 0xff) << 7) | code;
      bits += 7;
      if (bits >= 8) bytes[at++] = held >> (bits -= 8);
    }
    return bytes.subarray(0, size);
  }

  async function inflate(bytes) {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  // Reads packed numbers from front to back.
  function reader(bytes) {
    let at = 0;
    const take = (count) => bytes.subarray(at, (at += count));
    const numbers = (Kind, count) => new Kind(take(count * Kind.BYTES_PER_ELEMENT).slice().buffer);
    return { take, numbers };
  }

  const unpacked = (text, size) => inflate(decodeText(text, size));

  // A matrix as what is left of it after a prediction, its rows in the order of their scales (prediction.py).
  function addPrediction(packed, scales, columns, out) {
    const order = scales.map((_, row) => row).sort((a, b) => scales[a] - scales[b] || a - b);
    const [first, second] = [packed.numbers(Int16Array, columns), packed.numbers(Int16Array, columns)];
    const factors = packed.numbers(Int8Array, 2 * scales.length);
    for (const row of order) {
      const left = packed.take(columns);
      const [one, two] = [factors[2 * row], factors[2 * row + 1]];
      const from = row * columns;
      for (let i = 0; i < columns; i++) out[from + i] = left[i] + ((one * first[i] + two * second[i] + 512) >> 10);
    }
  }

  return { decodeText, unpacked, reader, addPrediction };
}

if (typeof module !== "undefined") module.exports = { gptcliUnpack };
