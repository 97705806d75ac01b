"""Tokenizers made by Hugging Face's library, to compare with, and text that is hard to tokenize."""

from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HARD_TEXT = (
    "Not all heroes wear capes, they'll say; it's 2024 and I'VE 1234567 reasons.\n\n"
    "  two  spaces,\ttab\r\nCRLF \n \n trailing   \n"
    "naïve café Ångström e\u0301 cafe\u0301 Å ﬁ ﬀ Ⅷ ½ ²\n"
    "你好，世界。这是一个测试！ 日本語の文章、カタカナとひらがな。 한국어 조선말\n"
    "Привет, мир! Ελληνικά हिन्दी में पाठ ไทย עברית العربية \u200fRTL\u200e\n"
    "🌍🏳️‍🌈👩‍👩‍👧‍👦🇩🇪 zero\u200bwidth \u00a0nbsp\u3000ideographic\u2028line\u0085next\x1cfs\n"
    "def f(x):\n    return {'a': [x**2 for _ in range(10)]}  # comment\n\t\tif x != 0: pass\n"
    "don't 'tis ''s '' 's'S 'lL'''re <|endoftext|> </s> <pad> {{}} !!! ... --- \x00\x1b[31mred\x7f\ufffd\U0010fffd\n"
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa    bbbbbbb                                x"
)


def bytes_vocabulary() -> dict[str, int]:
    """The 256 characters of the byte-level alphabet, with ids."""
    return {character: number for number, character in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}


def plain(
    merges: list[tuple[str, str]],
    extra: list[str] | None = None,
    *,
    ignore_merges: bool = False,
    use_regex: bool = False,
) -> Tokenizer:
    """A byte-level tokenizer with just these merges; ``extra`` tokens are in the vocabulary and no merge makes them."""
    vocab = bytes_vocabulary()
    for token in [*(first + second for first, second in merges), *(extra or [])]:
        vocab.setdefault(token, len(vocab))
    made = Tokenizer(models.BPE(vocab, merges, ignore_merges=ignore_merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)
    made.decoder = decoders.ByteLevel()
    return made


def trained(
    size: int = 700,
    *,
    pre_tokenizer: Any = None,
    normalizer: str | None = None,
    added: list[AddedToken] | None = None,
    special: list[str] | None = None,
    start: str | None = None,
) -> Tokenizer:
    """A tokenizer trained on the hard text."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizer or pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    if normalizer is not None:
        made.normalizer = getattr(normalizers, normalizer)()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        show_progress=False,
        special_tokens=special if special is not None else ["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    made.train_from_iterator([HARD_TEXT] * 3, trainer)
    if added:
        made.add_tokens(added)
    if start is not None:
        made.post_processor = processors.TemplateProcessing(
            single=f"{start} $A", special_tokens=[(start, made.token_to_id(start))]
        )
    return made


def split_first(pattern: str) -> Any:
    """Llama 3's pre-tokenizer: split by a pattern, then only map to the byte alphabet."""
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def save(tokenizer: Tokenizer, folder: Path) -> Path:
    """Write tokenizer.json."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
