"""The terminal: output (``console``, open it first), keys, Ctrl-C, and progress."""
