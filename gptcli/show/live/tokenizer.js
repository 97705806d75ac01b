// Text to ids and back: byte-pair encoding with the steps around it, as the page describes them (tokenizer.py). Ids, and the
// steps in their order, are those of Python's tokenizer.
"use strict";

function gptcliTokenizer(about) {
  // Unicode's White_Space; JavaScript's own \s has U+FEFF and lacks U+0085.
  const SPACE = "\\t-\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
  const WORD = /[\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\u200c\u200d\u24b6-\u24e9\u{1f130}-\u{1f149}\u{1f150}-\u{1f169}\u{1f170}-\u{1f189}]/u;
  const LONE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
  const KEPT = 20000; // pieces whose ids are remembered
  const escaped = (text) => text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
  const binary = (bytes) => Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  const utf8 = (text) => binary(new TextEncoder().encode(text));

  // --- ids to text ---------------------------------------------------------------------------------------------------------

  // A token's bytes as a string of characters below 256.
  const bytesOf = new Map((about.texts || []).map((bytes, id) => [id, bytes]));
  const decode = (bytes) => new TextDecoder().decode(Uint8Array.from(bytes, (character) => character.charCodeAt(0)));
  const token = (id) => decode(bytesOf.get(id) || "");

  // --- added tokens --------------------------------------------------------------------------------------------------------

  // Splits a text at added tokens: the leftmost match, and there the longest token. Special ones are text here.
  function cutter(tokens) {
    const byContent = new Map(tokens.map((each) => [each.content, each]));
    const longestFirst = [...byContent.keys()].sort((a, b) => [...b].length - [...a].length);
    const search = longestFirst.length ? new RegExp(longestFirst.map(escaped).join("|"), "gu") : null;
    const touchesWord = (text, start, end) => {
      const [before] = [...text.slice(0, start)].slice(-1);
      const [after] = text.slice(end);
      return (before && WORD.test(before)) || (after && WORD.test(after));
    };
    return (text) => {
      const parts = [];
      let done = 0;
      for (const match of search ? text.matchAll(search) : []) {
        const found = byContent.get(match[0]);
        let [start, end] = [match.index, match.index + match[0].length];
        if (found.special || (found.single_word && touchesWord(text, start, end))) continue;
        if (found.lstrip) start = Math.max(text.slice(0, start).replace(new RegExp(`[${SPACE}]+$`, "u"), "").length, done);
        if (found.rstrip) end = text.length - text.slice(end).replace(new RegExp(`^[${SPACE}]+`, "u"), "").length;
        if (start > done) parts.push(text.slice(done, start));
        parts.push(found.id);
        done = end;
      }
      if (done < text.length) parts.push(text.slice(done));
      return parts;
    };
  }
  const cutFirst = cutter(about.added.filter((each) => !each.normalized));
  const cutNormalized = cutter(about.added.filter((each) => each.normalized));

  // --- steps before the merges ---------------------------------------------------------------------------------------------

  const replaced = (text, from, to) => text.split(from).join(to);

  const NORMALIZERS = {
    form: ({ form }) => (text) => text.normalize(form),
    prepend: ({ content }) => (text) => (text ? content + text : text),
    replace: ({ from, to }) => (text) => replaced(text, from, to),
    lowercase: () => (text) => Array.from(text, (character) => character.toLowerCase()).join(""),
  };

  // What becomes of the matches of an expression and of the text between them: parts are [text, whether it matched].
  const BEHAVIOURS = {
    isolated: (parts) => parts,
    removed: (parts) => parts.filter(([, matched]) => !matched),
    contiguous: (parts) => joined(parts, (before, after) => before[1] === after[1]),
    with_previous: (parts) => joined(parts, (before, after) => after[1] && !before[1]),
    with_next: (parts) => joined(parts.reverse(), (before, after) => after[1] && !before[1], true).reverse(),
  };

  // Parts of which neighbours that belong together are one, which matched if the later one did.
  function joined(parts, together, backwards = false) {
    const out = [];
    for (const [text, matched] of parts) {
      const before = out[out.length - 1];
      if (!before || !together(before, [text, matched])) out.push([text, matched]);
      else out[out.length - 1] = [backwards ? text + before[0] : before[0] + text, matched];
    }
    return out;
  }

  function matches(text, expression) {
    const parts = [];
    let done = 0;
    for (const match of text.matchAll(expression)) {
      if (!match[0]) continue;
      if (match.index > done) parts.push([text.slice(done, match.index), false]);
      parts.push([match[0], true]);
      done = match.index + match[0].length;
    }
    if (done < text.length) parts.push([text.slice(done), false]);
    return parts;
  }

  // Each takes a piece, and whether it is where the text begins; gives pieces.
  const SPLITTERS = {
    split: ({ expression, behaviour, invert }) => {
      const search = new RegExp(expression, "gu");
      return (text) => BEHAVIOURS[behaviour](matches(text, search).map(([part, matched]) => [part, matched !== invert])).map(([part]) => part);
    },
    prefix_space: () => (text) => [text.startsWith(" ") ? text : ` ${text}`],
    metaspace: ({ mark, scheme, split }) => (text, first) => {
      let marked = replaced(text, " ", mark);
      if ((scheme === "always" || (scheme === "first" && first)) && !marked.startsWith(mark)) marked = mark + marked;
      return split ? BEHAVIOURS.with_next(matches(marked, new RegExp(escaped(mark), "gu"))).map(([part]) => part) : [marked];
    },
    bytes: () => (text) => [utf8(text)],
  };

  const normalizers = about.normalizers.map((step) => NORMALIZERS[step.step](step));
  const splitters = about.splitters.map((step) => SPLITTERS[step.step](step));

  function pieces(text, first) {
    return splitters.reduce((parts, split) => parts.flatMap((part, place) => split(part, first && place === 0)), [text]).filter(Boolean);
  }

  // --- merges --------------------------------------------------------------------------------------------------------------

  // The lowest rank first, of equals the leftmost: `rank` of two neighbours or undefined, `merge` of them.
  function merged(parts, rank, merge) {
    const ranks = parts.map((part, i) => (i ? rank(parts[i - 1], part) : undefined)); // of a part with the one before it
    for (;;) {
      let best = 0;
      for (let i = 1; i < parts.length; i++) if (ranks[i] !== undefined && (!best || ranks[i] < ranks[best])) best = i;
      if (!best) return parts;
      parts.splice(best - 1, 2, merge(parts[best - 1], parts[best]));
      ranks.splice(best, 1);
      if (best > 1) ranks[best - 1] = rank(parts[best - 2], parts[best - 1]);
      if (best < parts.length) ranks[best] = rank(parts[best - 1], parts[best]);
    }
  }

  // By rank: any two neighbours whose bytes together are a token.
  function byRank() {
    const rankOf = new Map(about.ranks.map((bytes, rank) => [bytes, rank]));
    const idOf = (rank) => (about.ids ? about.ids[rank] : rank);
    about.ranks.forEach((bytes, rank) => idOf(rank) >= 0 && bytesOf.set(idOf(rank), bytes));
    return (piece) => {
      const parts = rankOf.has(piece) ? [piece] : merged([...piece], (a, b) => rankOf.get(a + b), (a, b) => a + b);
      return parts.map((part) => {
        const id = idOf(rankOf.get(part));
        if (id < 0) throw new Error(`the vocabulary has no token for the byte 0x${part.charCodeAt(0).toString(16).padStart(2, "0")}`);
        return id;
      });
    };
  }

  // By pair: the merges that the vocabulary lists.
  function byPair() {
    const { tokens, merges, unknown, byte_tokens, fuse_unknown, whole } = about.pairs;
    const BASE = 2 ** 24; // above any id
    const [idOf, rankOf, madeOf] = [new Map(), new Map(), new Map()];
    tokens.forEach((text, id) => text !== null && idOf.set(text, id));
    if (!about.texts) tokens.forEach((text, id) => text !== null && bytesOf.set(id, text));
    for (let i = 0; i < merges.length; i += 3) {
      const pair = merges[i] * BASE + merges[i + 1];
      rankOf.set(pair, i);
      madeOf.set(pair, merges[i + 2]);
    }
    const bytesIn = (character) => byte_tokens && Array.from(new TextEncoder().encode(character), (byte) => byte_tokens[byte]);
    return (piece) => {
      if (whole && idOf.has(piece)) return [idOf.get(piece)];
      const parts = [];
      let afterUnknown = false;
      for (const character of piece) {
        const bytes = idOf.has(character) ? null : bytesIn(character);
        const known = idOf.has(character) ? [idOf.get(character)] : bytes && bytes.every((id) => id !== null) ? bytes : null;
        if (known) parts.push(...known);
        else if (unknown !== null && !(fuse_unknown && afterUnknown)) parts.push(unknown);
        afterUnknown = !known;
      }
      return merged(parts, (a, b) => rankOf.get(a * BASE + b), (a, b) => madeOf.get(a * BASE + b));
    };
  }

  const merge = about.ranks ? byRank() : byPair();
  for (const [id, bytes] of about.others) bytesOf.set(id, bytes);
  const remembered = new Map();

  function idsOf(piece) {
    let ids = remembered.get(piece);
    if (ids) return ids;
    ids = merge(piece);
    if (remembered.size >= KEPT) remembered.clear();
    remembered.set(piece, ids);
    return ids;
  }

  // --- text to ids ---------------------------------------------------------------------------------------------------------

  function encodeText(text) {
    const ids = [];
    cutFirst(text.replace(LONE, "\ufffd")).forEach((part, place) => {
      if (typeof part === "number") return ids.push(part);
      const normalized = normalizers.reduce((each, normalize) => normalize(each), part);
      return cutNormalized(normalized).forEach((stretch, inside) => {
        if (typeof stretch === "number") ids.push(stretch);
        else for (const piece of pieces(stretch, place === 0 && inside === 0)) ids.push(...idsOf(piece));
      });
    });
    return ids;
  }

  // The ids that the model reads: with what stands before every text, and for no text the end-of-text token.
  function encode(text) {
    const read = encodeText(text);
    if (text.trim() && !read.length) throw new Error("the tokenizer makes no tokens of this text");
    const ids = [...about.prefix, ...read];
    if (!ids.length && about.end === null) throw new Error("the tokenizer has no end-of-text token to start from: type a text");
    const unknown = ids.find((id) => id >= about.n_vocab);
    if (unknown !== undefined) throw new Error(`the text holds token ${unknown}, which the model lacks`);
    return ids.length ? ids : [about.end];
  }

  return { encode, token };
}

if (typeof module !== "undefined") module.exports = { gptcliTokenizer };
