"""The GPT itself: ids in, logits out. Knows nothing of text, files or terminals.

Open ``gpt`` first: it reads from top to bottom like a textbook figure. ``config`` is the one description of a shape,
``engine`` says what generation asks of a model, and ``torch_engine``, ``native`` (in C), ``lookup`` and ``parallel``
are the ways to answer it.
"""
