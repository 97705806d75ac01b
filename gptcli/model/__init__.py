"""The GPT itself: ids in, logits out. This package knows nothing about text, files or terminals.

Read ``gpt`` first, from top to bottom. ``config`` describes a model's shape, ``engine`` is the interface between
generation and a model, and ``torch_engine``, ``native`` (in C), ``lookup`` and ``parallel`` implement it.
"""
