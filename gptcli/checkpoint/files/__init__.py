"""The files of a checkpoint: safetensors headers (``header``, open it first), shards, and mapped tensors."""
