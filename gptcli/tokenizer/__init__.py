"""Text to token ids and back: byte-level byte-pair encoding, without torch.

The byte-pair encoding itself is tiktoken's. Around it stand the files that checkpoints keep their vocabulary in
(``files``), the vocabularies that have a name (``named``), and the decoder for ids that come one by one (``stream``).
"""

from gptcli.tokenizer.added import AddedToken
from gptcli.tokenizer.bpe import Tokenizer
from gptcli.tokenizer.chunks import decode_chunks, encode_chunks
from gptcli.tokenizer.files import tokenizer_for
from gptcli.tokenizer.merges import Merge, PieceMerges
from gptcli.tokenizer.named import encoding_names, gpt2_tokenizer, tiktoken_encoding
from gptcli.tokenizer.stream import StreamDecoder

__all__ = [
    "AddedToken",
    "Merge",
    "PieceMerges",
    "StreamDecoder",
    "Tokenizer",
    "decode_chunks",
    "encode_chunks",
    "encoding_names",
    "gpt2_tokenizer",
    "tiktoken_encoding",
    "tokenizer_for",
]
