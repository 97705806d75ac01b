"""``gptcli softmax``: what softmax and a temperature make of anybody's numbers."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from gptcli.errors import InputError
from gptcli.system.answer import MaybeInfinite, row_of
from gptcli.text import quoted


@dataclass(frozen=True)
class Number:
    """A number that softmax is given.

    Attributes:
        label: its name; "" where none was given.
        logit: the number; minus infinity, which a mask puts in a place that it closes, is null.
    """

    label: str
    logit: MaybeInfinite


@dataclass(frozen=True)
class Shares:
    """What softmax makes of the numbers at one temperature.

    Attributes:
        temperature: that the numbers were divided by; 0: the first of the largest has all.
        probabilities: of each number, in order; they sum to 1.
        entropy_bits: their Shannon entropy.
    """

    temperature: float
    probabilities: list[float]
    entropy_bits: float


@dataclass(frozen=True)
class Softmax:
    """The numbers, and what softmax makes of them.

    Attributes:
        numbers: as they were given.
        distributions: one for each temperature.
    """

    schema: ClassVar[str] = "gptcli.softmax/1"

    numbers: list[Number]
    distributions: list[Shares]

    def table_rows(self) -> Iterator[dict[str, Any]]:
        """A row for each number at each temperature."""
        for shown in self.distributions:
            for number, probability in zip(self.numbers, shown.probabilities, strict=True):
                yield {"temperature": shown.temperature, **row_of(number), "probability": probability}


def parse(words: Sequence[str]) -> list[Number]:
    """Numbers as they are typed: ``3``, ``cat=3``; also with commas between them.

    Raises:
        InputError: one is no number, or plus infinity, or there is none above minus infinity.
    """
    numbers = [_number(part) for word in words for part in word.split(",") if part]
    if not numbers:
        raise InputError("NUMBER is missing: write some, such as 'gptcli softmax 3 1 0.2'")
    if all(each.logit == -math.inf for each in numbers):
        raise InputError("all numbers are minus infinity: softmax needs one that is not")
    return numbers


def _number(word: str) -> Number:
    label, equals, figure = word.rpartition("=")
    try:
        value = float(figure)
    except ValueError:
        if word.startswith("-"):
            raise InputError(f"No such option: {quoted(word)} (try 'gptcli softmax --help')") from None
        told = "write it as a number, or as LABEL=NUMBER"
        raise InputError(f"{quoted(figure)} is not a number: {told}") from None
    if math.isnan(value) or value == math.inf:
        raise InputError(f"{quoted(word)}: softmax takes finite numbers, and -inf for what is masked")
    return Number(label if equals else "", value + 0.0)


def softmax_of(numbers: Sequence[Number], temperatures: Sequence[float]) -> Softmax:
    """Divide by each temperature, exponentiate, and make the sum 1, in float64.

    Raises:
        InputError: a temperature is negative or not finite.
    """
    return Softmax(list(numbers), [_shares([each.logit for each in numbers], each) for each in temperatures])


def _shares(logits: Sequence[float], temperature: float) -> Shares:
    if not 0 <= temperature < math.inf:
        raise InputError(f"--temperature {temperature:g}: write 0 or more")
    largest = max(logits)
    if temperature == 0:
        first = logits.index(largest)
        return Shares(temperature, [float(place == first) for place in range(len(logits))], 0.0)
    # The largest is subtracted first, so that nothing overflows; the shares stay the same.
    scaled = [(logit - largest) / temperature for logit in logits]
    powers = [math.exp(each) for each in scaled]
    whole = math.fsum(powers)
    probabilities = [power / whole for power in powers]
    # -log p = log(whole) - scaled; what has no share adds nothing.
    surprises = (p * (math.log(whole) - each) for p, each in zip(probabilities, scaled, strict=True) if p)
    return Shares(temperature, probabilities, max(math.fsum(surprises) / math.log(2), 0.0))
