"""Text to token ids and back, without torch.

``base`` defines the interface. Two libraries do the work: tiktoken for byte-pair encoding by rank (``bpe``), and
Hugging Face's tokenizers for everything else that a tokenizer.json describes (``library``). ``files`` reads the
tokenizer files of checkpoints, ``named`` has the vocabularies that are known by name, and ``stream`` decodes ids one by
one.
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
