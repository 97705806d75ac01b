"""What lies in a checkpoint's folder: safetensors headers (``header``, to open first), shards, and mapped tensors."""
