"""Small tokenizers of every kind that today's families have, made by Hugging Face's library."""

import json
from functools import cache
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from gptcli.tokenizer import patterns
from tests.tokenizer.reference import HARD_TEXT, split_first, trained

MARK = "▁"
# What is trained on lacks some of what is read later.
TRAINING_TEXT = HARD_TEXT.replace("ไทย", "").replace("🌍", "").replace("हिन्दी", "")
BLOOM = r" ?[^(\s|[.,!?…。，、।۔،])]+"


def byte_level(**options: Any) -> Any:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, **options)


def isolated(*expressions: str) -> list[Any]:
    return [pre_tokenizers.Split(Regex(expression), behavior="isolated") for expression in expressions]


@cache
def mark_vocabulary() -> tuple[dict[str, int], tuple[tuple[str, str], ...]]:
    """Vocabulary and merges of SentencePiece's shape: special tokens, bytes, then what merges make, word by word."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    made.train_from_iterator([TRAINING_TEXT] * 3, trainers.BpeTrainer(vocab_size=500, show_progress=False))
    model = json.loads(made.to_str())["model"]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    tokens += sorted(model["vocab"], key=model["vocab"].get)
    return {token: number for number, token in enumerate(tokens)}, tuple(map(tuple, model["merges"]))


def marked(*, bos: bool = True, strip: bool = True, added: tuple[AddedToken, ...] = ()) -> Tokenizer:
    """SentencePiece-like BPE with byte fallback; what stands before it is still to be set."""
    vocab, merges = mark_vocabulary()
    made = Tokenizer(models.BPE(dict(vocab), list(merges), unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    made.add_special_tokens(["<unk>", "<s>", "</s>"])
    made.add_tokens(list(added))
    last = [decoders.Strip(" ", 1, 0)] if strip else []
    made.decoder = decoders.Sequence([decoders.Replace(MARK, " "), decoders.ByteFallback(), decoders.Fuse(), *last])
    if bos:
        made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return made


def llama2() -> Tokenizer:
    made = marked()
    made.normalizer = normalizers.Sequence([normalizers.Prepend(MARK), normalizers.Replace(" ", MARK)])
    return made


def mistral() -> Tokenizer:
    made = marked()
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    return made


def mistral_in_a_sequence() -> Tokenizer:
    made = mistral()
    made.pre_tokenizer = pre_tokenizers.Sequence([made.pre_tokenizer])
    return made


def gemma() -> Tokenizer:
    runs = (*(AddedToken("\n" * n, normalized=False) for n in range(1, 6)), AddedToken(MARK * 2, normalized=False))
    made = marked(strip=False, added=(*runs, AddedToken("<table>", normalized=False)))
    made.normalizer = normalizers.Replace(" ", MARK)
    made.pre_tokenizer = pre_tokenizers.Split(" ", behavior="merged_with_previous")
    return made


def unigram() -> Tokenizer:
    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    made.decoder = decoders.Metaspace(prepend_scheme="always")
    special = ["<unk>", "<s>", "</s>"]
    trainer = trainers.UnigramTrainer(vocab_size=300, special_tokens=special, unk_token="<unk>", show_progress=False)
    made.train_from_iterator([TRAINING_TEXT] * 3, trainer)
    made.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", made.token_to_id("</s>"))]
    )
    return made


def word_piece() -> Tokenizer:
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    special = ["[UNK]", "[CLS]", "[SEP]"]
    made.train_from_iterator(
        [TRAINING_TEXT] * 3,
        trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False),
    )
    made.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    return made


# The rows of the table of families, and what besides is read.
KINDS: dict[str, Any] = {
    "gpt2": trained,
    "neox": lambda: trained(normalizer="NFC", added=[AddedToken("  ", normalized=True)]),
    "llama3": lambda: trained(pre_tokenizer=split_first(patterns._LLAMA3), start="<|endoftext|>"),
    "qwen2": lambda: trained(pre_tokenizer=split_first(patterns._QWEN2), normalizer="NFC"),
    "cl100k": lambda: trained(pre_tokenizer=split_first(patterns._CL100K)),
    "o200k": lambda: trained(pre_tokenizer=split_first(patterns._O200K)),
    "tekken": lambda: trained(pre_tokenizer=split_first(patterns._TEKKEN)),
    "bloom": lambda: trained(pre_tokenizer=split_first(BLOOM)),
    "smollm": lambda: trained(
        pre_tokenizer=pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level()])
    ),
    "cohere": lambda: trained(
        pre_tokenizer=pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level()]),
        normalizer="NFC",
    ),
    "deepseek": lambda: trained(
        pre_tokenizer=pre_tokenizers.Sequence([*isolated(*patterns._DEEPSEEK), byte_level(use_regex=False)])
    ),
    "falcon": lambda: trained(
        pre_tokenizer=pre_tokenizers.Sequence(
            [
                pre_tokenizers.Punctuation(behavior="contiguous"),
                byte_level(),
                pre_tokenizers.Digits(individual_digits=False),
                *isolated("[0-9][0-9][0-9]"),
            ]
        )
    ),
    "llama2": llama2,
    "mistral": mistral,
    "mistral in a sequence": mistral_in_a_sequence,
    "gemma": gemma,
    "unigram": unigram,
    "wordpiece": word_piece,
}
BY_MARKS = ("llama2", "mistral", "mistral in a sequence", "gemma")
