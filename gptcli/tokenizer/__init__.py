"""Text to token ids and back, without torch.

``base`` says what a tokenizer is. Two libraries do the work: tiktoken where byte pairs merge by rank (``bpe``), Hugging
Face's tokenizers for whatever a tokenizer.json describes (``library``). Around them stand the files that checkpoints
keep their vocabulary in (``files``), the vocabularies that have a name (``named``), and the decoder for ids that come
one by one (``stream``).
"""

from gptcli.tokenizer.added import AddedToken
from gptcli.tokenizer.base import Declared, Spans, Tokenizer
from gptcli.tokenizer.bpe import RankTokenizer
from gptcli.tokenizer.chunks import decode_chunks, encode_chunks
from gptcli.tokenizer.files import is_gpt2s, tokenizer_for
from gptcli.tokenizer.merges import Merge, PieceMerges
from gptcli.tokenizer.named import encoding_names, gpt2_tokenizer, tiktoken_encoding
from gptcli.tokenizer.stream import StreamDecoder

__all__ = [
    "AddedToken",
    "Declared",
    "Merge",
    "PieceMerges",
    "RankTokenizer",
    "Spans",
    "StreamDecoder",
    "Tokenizer",
    "decode_chunks",
    "encode_chunks",
    "encoding_names",
    "gpt2_tokenizer",
    "is_gpt2s",
    "tiktoken_encoding",
    "tokenizer_for",
]
