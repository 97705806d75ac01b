"""The speed of a model (``speed``), and the effect of 8 and 4 bits on it (``quantization``)."""
