"""What each command prints with ``--json``: the table behind ``gptcli schema``.

A new command adds a function with its results, and a line in ``ANSWERS``. The results are imported when they are asked
for, so that ``--help`` starts at once.
"""

from collections.abc import Callable


def _tour() -> tuple[type, ...]:
    from gptcli.show.tour import Tour

    return (Tour,)


def _generate() -> tuple[type, ...]:
    from gptcli.generation.records import CompletionRecord, DraftRecord, TokenRecord

    return CompletionRecord, TokenRecord, DraftRecord


def _chat() -> tuple[type, ...]:
    from gptcli.generation.records import AnswerRecord, ChatRecord

    return AnswerRecord, ChatRecord


def _logits() -> tuple[type, ...]:
    from gptcli.probability.next_token import NextToken, Positions

    return NextToken, Positions


def _softmax() -> tuple[type, ...]:
    from gptcli.probability.own_numbers import Softmax

    return (Softmax,)


def _score() -> tuple[type, ...]:
    from gptcli.probability.scoring import Score, Summary

    return Score, Summary


def _attention() -> tuple[type, ...]:
    from gptcli.inspection.attention import Attention

    return (Attention,)


def _lens() -> tuple[type, ...]:
    from gptcli.inspection.lens import Lens

    return (Lens,)


def _ablate() -> tuple[type, ...]:
    from gptcli.inspection.ablation import Ablation

    return (Ablation,)


def _patch() -> tuple[type, ...]:
    from gptcli.inspection.patching import Patching

    return (Patching,)


def _head() -> tuple[type, ...]:
    from gptcli.inspection.by_weights import HeadView
    from gptcli.inspection.head_scan import HeadScan

    return HeadView, HeadScan


def _neurons() -> tuple[type, ...]:
    from gptcli.inspection.neuron_weights import NeuronView
    from gptcli.inspection.neurons import Neurons
    from gptcli.inspection.passages import NeuronPassages

    return Neurons, NeuronView, NeuronPassages


def _trace() -> tuple[type, ...]:
    from gptcli.counting.tracing import Trace

    return (Trace,)


def _params() -> tuple[type, ...]:
    from gptcli.counting.parameters import ParameterCount

    return (ParameterCount,)


def _tokenize() -> tuple[type, ...]:
    from gptcli.tokenizer.listing import Counts, Decoded, TokenIds, Tokenized, Truncated
    from gptcli.tokenizer.merges import Merged

    return Tokenized, Counts, Merged, TokenIds, Decoded, Truncated


def _similarity() -> tuple[type, ...]:
    from gptcli.embedding.answers import Similarities
    from gptcli.embedding.evaluation import PairScore
    from gptcli.inspection.contexts import ContextSimilarities

    return Similarities, ContextSimilarities, PairScore


def _neighbors() -> tuple[type, ...]:
    from gptcli.embedding.answers import Neighbors

    return (Neighbors,)


def _analogy() -> tuple[type, ...]:
    from gptcli.embedding.answers import Analogy
    from gptcli.embedding.evaluation import AnalogyScore

    return Analogy, AnalogyScore


def _direction() -> tuple[type, ...]:
    from gptcli.embedding.answers import Direction

    return (Direction,)


def _map() -> tuple[type, ...]:
    from gptcli.embedding.word_map import WordMap

    return (WordMap,)


def _compare() -> tuple[type, ...]:
    from gptcli.measuring.compare import Comparison

    return (Comparison,)


def _bench() -> tuple[type, ...]:
    from gptcli.measuring.speed import Benchmark

    return (Benchmark,)


def _glossary() -> tuple[type, ...]:
    from gptcli.show.glossary import Glossary

    return (Glossary,)


def _models_list() -> tuple[type, ...]:
    from gptcli.checkpoint.catalogue import Catalogue

    return (Catalogue,)


def _models_pull() -> tuple[type, ...]:
    from gptcli.checkpoint.catalogue import LocalModel

    return (LocalModel,)


def _models_show() -> tuple[type, ...]:
    from gptcli.counting.description import Description
    from gptcli.measuring.quantization import QuantizedLogits

    return Description, QuantizedLogits


def _models_quantize() -> tuple[type, ...]:
    from gptcli.measuring.quantization import Keeping, Removed

    return Keeping, Removed


def _config() -> tuple[type, ...]:
    from gptcli.show.config import Configuration

    return (Configuration,)


# A command's words to its results, one for each form of its output.
ANSWERS: dict[str, Callable[[], tuple[type, ...]]] = {
    "tour": _tour,
    "generate": _generate,
    "chat": _chat,
    "logits": _logits,
    "softmax": _softmax,
    "score": _score,
    "attention": _attention,
    "lens": _lens,
    "ablate": _ablate,
    "patch": _patch,
    "head": _head,
    "neurons": _neurons,
    "trace": _trace,
    "params": _params,
    "tokenize": _tokenize,
    "similarity": _similarity,
    "neighbors": _neighbors,
    "analogy": _analogy,
    "direction": _direction,
    "map": _map,
    "compare": _compare,
    "bench": _bench,
    "models list": _models_list,
    "models pull": _models_pull,
    "models show": _models_show,
    "models quantize": _models_quantize,
    "config": _config,
    "glossary": _glossary,
}


def answers_of(command: str) -> tuple[type, ...]:
    """The results of a command, or of all that begin with these words (``models``); of all commands for "".

    Raises:
        InputError: there is no such command, or it prints no JSON.
    """
    from gptcli.errors import InputError
    from gptcli.text import clipped

    chosen = [name for name in ANSWERS if command in ("", name) or name.startswith(f"{command} ")]
    if not chosen:
        names = ", ".join(ANSWERS)
        raise InputError(f"{clipped(command)}: no command of this name prints JSON; those that do: {names}")
    return tuple(answer for name in chosen for answer in ANSWERS[name]())
