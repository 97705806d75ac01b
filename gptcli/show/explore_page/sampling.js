// Temperature, top-k and top-p as the command has them: in this order, in double precision, equal logits by id.
//
// Logits come best first; those that are not listed come in narrow bins, each entry as so many tokens of one logit.

// -> { size, kept, exact, entropy, probability(rank, logit), cut(rank), rest(shown) }; ranks count from 1.
function choose({ logits, rest }, { temperature, topK, topP }) {
  const listed = logits.length;
  const size = Math.round(rest.reduce((sum, bin) => sum + bin.count, listed));
  const weight = temperature === 0 ? (logit) => (logit === logits[0] ? 1 : 0) : (logit) => Math.exp((logit - logits[0]) / temperature);
  const k = temperature === 0 ? 1 : Math.min(topK || size, size);
  const entries = [];
  let total = 0;
  let reached = 0;
  for (let place = 0; place < listed + rest.length && reached < k; place++) {
    const own = place < listed ? { count: 1, logit: logits[place] } : rest[place - listed];
    const count = Math.min(own.count, k - reached);
    entries.push({ count, logit: own.logit, weight: weight(own.logit) });
    total += count * entries.at(-1).weight;
    reached += count;
  }
  const { kept, mass } = topP < 1 && temperature !== 0 ? nucleus(entries, total, topP) : { kept: reached, mass: total };
  const probability = (rank, logit) => (rank <= kept ? weight(logit) / mass : 0);
  return {
    size,
    kept: Math.round(kept),
    exact: kept <= listed || kept === size || kept === k,
    entropy: entropyOf(entries, kept, mass),
    probability,
    cut: (rank) => (rank <= kept ? null : rank > k ? "top-k" : "top-p"),
    rest(shown) {
      let sum = 0;
      for (let place = 0; place < Math.min(shown, listed); place++) sum += probability(place + 1, logits[place]);
      return Math.max(1 - sum, 0) < 1e-12 ? 0 : 1 - sum;
    },
  };
}

// The fewest of the most probable tokens that reach the probability p together; always one.
function nucleus(entries, total, p) {
  let before = 0;
  let kept = 0;
  let mass = 0;
  for (const { count, weight } of entries) {
    const each = weight / total;
    if (before >= p && kept) break;
    const more = count === 1 ? 1 : Math.min(count, Math.max(Math.ceil((p - before) / each), 1));
    kept += more;
    mass += more * weight;
    before += more * each;
    if (more < count) break;
  }
  return { kept, mass };
}

// In bits, of what is kept.
function entropyOf(entries, kept, mass) {
  let sum = 0;
  let left = kept;
  for (const { count, weight } of entries) {
    const share = weight / mass;
    const here = Math.min(count, left);
    if (share > 0) sum -= here * share * Math.log2(share);
    left -= here;
    if (left <= 0) break;
  }
  return Math.max(sum, 0);
}
