"""How fast a model is (``speed``), and what 8 and 4 bits do to it (``quantization``)."""
