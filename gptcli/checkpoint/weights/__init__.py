"""Weights into an engine: ``torch_loader`` for PyTorch, ``native_loader`` for the engine in C. Open one of these first.

``slices`` reads parts of tensors, ``finite`` looks for NaN and infinity. ``kept`` says what is kept in 8 and 4 bits,
and ``content`` of which weights that is; ``quantized_file`` reads and writes it.
"""
