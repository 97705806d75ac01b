"""The terminal: where an answer goes (``console``, to open first), keys, Ctrl-C, and how far along something is."""
