"""Options that several commands take together, as one parameter: ``run: RunOptions``."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_type_hints

from gptcli import options

if TYPE_CHECKING:
    from gptcli.checkpoint.open import Checkpoint
    from gptcli.generation.sampling import Sampling


@dataclass(frozen=True)
class RunOptions:
    """Which model is looked into, and how it is run.

    Attributes:
        model, n_head, device, dtype: as ``open_checkpoint`` takes them.
    """

    _to: ClassVar[Literal["look inside", "run"]] = "look inside"

    model: options.ModelOption = options.DEFAULT_MODEL
    n_head: options.NHeadOption = None
    device: options.DeviceOption = options.Device.auto
    dtype: options.DtypeOption = options.Dtype.auto

    def settings(self) -> dict[str, Any]:
        """What ``open_checkpoint`` takes beside the name."""
        return {"device": self.device.value, "dtype": self.dtype.value, "n_head": self.n_head}

    def open(self) -> "Checkpoint":
        """Load the model; what was found odd about it goes to stderr.

        Raises:
            GptcliError: as ``open_checkpoint``.
        """
        from gptcli.checkpoint.open import open_checkpoint
        from gptcli.show.console import notices

        checkpoint = open_checkpoint(self.model, **self.settings(), to=self._to)
        notices(checkpoint.notes)
        return checkpoint


@dataclass(frozen=True)
class EngineOptions(RunOptions):
    """Which model is run by what runs it fastest, and how: for those who want its text or its logits.

    Attributes:
        quantize: as ``open_checkpoint`` takes it.
    """

    _to = "run"

    quantize: options.QuantizeOption = options.Quantize.none

    def settings(self) -> dict[str, Any]:
        """What ``open_checkpoint`` takes beside the name."""
        return {**super().settings(), "quantize": self.quantize.value}

    def open_shared(self) -> "Checkpoint":
        """Load what generates fastest; under torchrun, this process's part of it.

        Raises:
            GptcliError: as ``open_shared``.
        """
        from gptcli.checkpoint.shared import open_shared
        from gptcli.show.console import notices

        checkpoint = open_shared(self.model, **self.settings())
        notices(checkpoint.notes)
        return checkpoint


@dataclass(frozen=True)
class SamplingOptions:
    """How each token is chosen, in the order in which it is done.

    Attributes:
        logit_bias, seed: as the command line has them.
        repetition_penalty, no_repeat_ngram, temperature, top_k, top_p, min_p, typical_p: as ``Sampling`` takes them.
    """

    logit_bias: options.LogitBiasOption = None
    repetition_penalty: options.RepetitionPenaltyOption = 1.0
    no_repeat_ngram: options.NoRepeatNgramOption = 0
    temperature: options.TemperatureOption = options.TEMPERATURE
    top_k: options.TopKOption = options.TOP_K
    top_p: options.TopPOption = 1.0
    min_p: options.MinPOption = 0.0
    typical_p: options.TypicalPOption = 1.0
    seed: options.SeedOption = None

    def sampling(self) -> "Sampling":
        """The filters, without the bias, which needs a tokenizer.

        Raises:
            InputError: one is out of range, or there are too many biases.
        """
        from gptcli.generation.sampling import Sampling

        options.at_most("--logit-bias", self.logit_bias, options.MOST_TEXTS)
        return Sampling(
            self.temperature,
            self.top_k,
            self.top_p,
            self.min_p,
            self.typical_p,
            self.repetition_penalty,
            self.no_repeat_ngram,
        )


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """A command as Typer reads it: in place of each parameter that is a group, the options of the group."""
    groups: dict[str, type[Any]] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        group = parameter.annotation
        if not (isinstance(group, type) and is_dataclass(group)):
            parameters.append(parameter)
            continue
        groups[parameter.name] = group
        hints = get_type_hints(group, include_extras=True)
        own = inspect.signature(group).parameters.values()
        parameters += [each.replace(annotation=hints[each.name], kind=parameter.kind) for each in own]

    @functools.wraps(command)
    def flat(**given: Any) -> None:
        parts = {
            name: group(**{field.name: given.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        command(**given, **parts)

    del flat.__wrapped__  # it has other parameters
    flat.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    flat.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return flat
