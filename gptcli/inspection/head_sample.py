"""What both views of heads by their weights share: the sampled tokens, and what is told about them."""

from collections.abc import Callable

from gptcli.errors import InputError
from gptcli.inspection.head_label import HeadLabel
from gptcli.inspection.stream import StreamWeights
from gptcli.model.config import GPTConfig

Labels = Callable[[], list[list[HeadLabel]] | None]
# Numbers of the sampled tokens' vectors: 100 million float32 are 400 MB, and there are a few of them.
_MOST_NUMBERS = 100_000_000


def sample(stream: StreamWeights, count: int) -> list[int]:
    """The sampled tokens; a sample whose vectors would take too much memory is refused."""
    ids = stream.sample(count)
    fitting = max(_MOST_NUMBERS // stream.config.n_embd, 1)
    if len(ids) > fitting:
        raise InputError(f"--tokens {count:,}: {len(ids):,} tokens take too much memory here: {fitting:,} are the most")
    return ids


def layers_alone(given: int | None, layer: int, config: GPTConfig) -> int:
    """How many layers a token goes through alone, before a layer (from 1) reads it."""
    if given is None:
        return min(1, layer - 1)
    if not 0 <= given < layer:
        raise InputError(
            f"--through {given}: a head of layer {layer} reads what 0 to {layer - 1} layers make of a token"
        )
    return given


def check_distance(distance: int, config: GPTConfig) -> None:
    """Refuse a distance that the context does not have."""
    if not 0 <= distance < config.n_positions:
        raise InputError(f"--distance {distance:,}: the model's context has distances 0 to {config.n_positions - 1:,}")


def named_from(measured: bool) -> float | None:
    """The score from which a head has a name; None where kinds were not measured."""
    if not measured:
        return None
    from gptcli.inspection.heads import THRESHOLD

    return THRESHOLD
