"""Weights into an engine: ``torch_loader`` for PyTorch, ``native_loader`` for the engine in C. Open one of these first.

``slices`` reads parts of tensors, ``finite`` checks for NaN and infinity. ``kept`` lists the quantized matrices in the
user's cache, ``content`` identifies the weights that they are of, and ``quantized_file`` reads and writes them.
"""
