"""One sentence that points at what a command has shown, computed from its answer: what to look at first."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gptcli.show.blocks.figures import percent
from gptcli.text import token_text, visible

if TYPE_CHECKING:
    from gptcli.counting.parameters import ParameterCount
    from gptcli.counting.tracing import Trace
    from gptcli.embedding.answers import Direction, Neighbors, Similarities
    from gptcli.embedding.word_map import WordMap
    from gptcli.inspection.ablation import Ablation
    from gptcli.inspection.attention import Attention
    from gptcli.inspection.contexts import ContextSimilarities
    from gptcli.inspection.neurons import Neurons
    from gptcli.probability.next_token import NextToken
    from gptcli.probability.scoring import Score
    from gptcli.tokenizer.listing import Tokenized


def pointed_at(answer: Any, command: Sequence[str] = ()) -> str:
    """The sentence for an answer; of a command that has none to give, for the command; "" where there is nothing."""
    if answer is None:
        return _OF_COMMANDS.get(" ".join(word for word in command if word in _TELLING), "")
    schema = str(getattr(type(answer), "schema", "")).removeprefix("gptcli.")
    said = _OF_ANSWERS.get(schema.partition("/")[0])
    return said(answer) if said is not None else ""


def _tokenized(answer: "Tokenized") -> str:
    tokens = [token.token for token in answer.tokens]
    counts, words = answer.counts, len(b"".join(tokens).split())
    pieces = sum(not token.startswith(b" ") for token in tokens[1:])
    split = f"{pieces} of them go on with a word" if pieces else "each is a word"
    return f"See the numbers under the tokens: {words} words are {counts.n_tokens:,} tokens; {split}."


def _neighbors(answer: "Neighbors") -> str:
    if not answer.neighbors:
        return ""
    first = answer.neighbors[0]
    word = token_text(first.token) if isinstance(first.token, bytes) else visible(first.token, keep="")
    return f"See row 1: of {answer.searched:,} words, {word} is the nearest, with {first.similarity:.3f}."


def _similarities(answer: "Similarities") -> str:
    pairs = [(answer.values[a][b], a, b) for a in range(len(answer.labels)) for b in range(a)]
    if len(pairs) < 2:
        return ""
    (most, a, b), (least, c, d) = max(pairs), min(pairs)
    names = [visible(label, keep="") for label in answer.labels]
    return (
        f"See row {names[b]}, column {names[a]}: {most:.3f} is the most for two words; "
        f"{names[d]} and {names[c]} have {least:.3f}."
    )


def _direction(answer: "Direction") -> str:
    ordered = sorted(answer.products, key=lambda product: product.dot)
    low, high = ordered[0], ordered[-1]
    return (
        f"See the longest bars: {visible(high.label, keep='')} lies furthest along, with {high.dot:+.3f}, "
        f"and {visible(low.label, keep='')} least, with {low.dot:+.3f}."
    )


def _map(answer: "WordMap") -> str:
    if not answer.arrows:
        return ""
    most = max(answer.arrows[1:], key=lambda arrow: arrow.cosine, default=None)
    if most is None:
        return ""
    start, end = (visible(str(answer.points[index - 1].label), keep="") for index in (most.start, most.end))
    return f"See the table: {start}→{end} points most like the first arrow, with a cosine of {most.cosine:.3f}."


def _contexts(answer: "ContextSimilarities") -> str:
    if not answer.pairs:
        return ""
    values = answer.pairs[0].values
    step = min(range(len(values)), key=lambda index: values[index])
    where = "before the first layer" if not step else f"after layer {answer.layers[step]}"
    same = len({context.tokens[-1].id for context in answer.contexts[:2]}) == 1
    why = " (Below 1, as this model adds each position to its token.)" if same and values[0] < 0.9995 else ""
    return f"See the curve: it starts at {values[0]:.3f} and is lowest, {values[step]:.3f}, {where}.{why}"


def _next_token(answer: "NextToken") -> str:
    shown = answer.distributions
    if len(shown) == 1:
        best = shown[0].candidates[0]
        name, cut = token_text(best.token), answer.n_vocab - shown[0].kept
        said = f"See row 1: {name} has {percent(best.probability)}"
        if cut:
            return f"{said}, and {cut:,} tokens are cut."
        return f"{said}; it is as uncertain as a draw among {2 ** shown[0].entropy_bits:,.0f} equally likely tokens."
    first, last = shown[0], shown[-1]
    name = token_text(first.candidates[0].token)
    return (
        f"See row 1: {name} has {percent(first.candidates[0].probability)} at T={first.temperature:g} "
        f"and {percent(last.candidates[0].probability)} at T={last.temperature:g}."
    )


def _attention(answer: "Attention") -> str:
    from gptcli.show.links import link_sentence
    from gptcli.show.looking import link_said, striking_sentence

    if answer.links:
        return link_sentence(answer, answer.links[0])
    link = answer.striking
    if link is None:
        return striking_sentence(answer)
    row = "row" if answer.rows == "queries" else "column"
    said = link_said(answer.texts, link, where=False)
    return f"See layer {link.layer}, head {link.head}, {row} {link.query}: {said}."


def _trace(answer: "Trace") -> str:
    seen = [step for step in answer.steps if step.name == "softmax" and step.numbers]
    if not seen or answer.tokens is None:
        return f"See the last line: {answer.parameters:,} parameters in all these steps."
    weights = [float(number) for number in seen[0].numbers]
    key = max(range(len(weights)), key=lambda index: weights[index])
    looks, there = (token_text(answer.tokens[index].token) for index in (-1, key - len(weights)))
    return f"See the softmax: {looks} gives {there} {weights[key]:.3f} of its attention."


def _lens(answer: Any) -> str:
    from gptcli.show.lens import verdict

    return f"See the last column: {verdict(answer)}."


def _ablation(answer: "Ablation") -> str:
    from gptcli.show.ablation import part_name

    parts = answer.strongest(sum(len(layer.heads) + 1 for layer in answer.layers))
    head = next((each for each in parts if each.head is not None), None)
    if not parts or head is None:
        return ""
    most = f"{part_name(parts[0])} most, with {parts[0].effect:+.2f}"
    if parts[0] is head:
        return f"See the largest effects: the prediction needs head {most}."
    of_heads = f"of the heads {part_name(head)}, with {head.effect:+.2f}"
    return f"See the largest effects: the prediction needs {most}, and {of_heads}."


def _neurons(answer: "Neurons") -> str:
    active = [(neuron, each) for each in answer.tokens for neuron in each.neurons[:1]]
    if not active:
        return ""
    neuron, at = active[-1]
    raised = " and ".join(token_text(each.token) for each in neuron.raises[:2])
    return f"See neuron {neuron.layer}.{neuron.neuron} at {token_text(at.token)}: it raises {raised}."


def _score(answer: "Score") -> str:
    scored = [token for token in answer.tokens if token.surprisal_bits is not None]
    if not scored:
        return ""
    worst = max(scored, key=lambda token: token.surprisal_bits or 0.0)
    bits = worst.surprisal_bits or 0.0
    chance = f"{2**bits:,.0f}" if math.isfinite(bits) and bits < 200 else "countless"
    return f"See {token_text(worst.token)}: {bits:.1f} bits, one chance in {chance}."


def _parameters(answer: "ParameterCount") -> str:
    if answer.tally is None:
        return f"See the first line: {answer.parameters:,} numbers, and all of them were learnt."
    sums = [term for term in answer.tally.sums if term.name.startswith("all ")]
    most = max(sums, key=lambda term: term.count, default=None)
    if most is None:
        return f"See the total: {answer.tally.scoreboard_total:,} numbers, and all of them were learnt."
    return f"See {most.name}: {most.count:,} numbers, {most.count / answer.tally.scoreboard_total:.1%} of the matrices."


# By the name in the answer's schema.
_OF_ANSWERS: dict[str, Callable[[Any], str]] = {
    "tokenize": _tokenized,
    "neighbors": _neighbors,
    "analogy": _neighbors,
    "similarity": _similarities,
    "direction": _direction,
    "map": _map,
    "similarity.in-context": _contexts,
    "logits": _next_token,
    "attention": _attention,
    "trace": _trace,
    "lens": _lens,
    "ablate": _ablation,
    "neurons": _neurons,
    "score": _score,
    "params": _parameters,
}
# Commands that give no answer, with what changes their pictures.
_TELLING = ("generate", "--explain")
_OF_COMMANDS = {
    "generate --explain": "See the mark ▶: the token that was drawn, among those that it might have been.",
    "generate": "See the end of the text: each token there was drawn with everything before it in view.",
}
