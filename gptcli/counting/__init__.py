"""Parameters, counted by what they do and step by step, from a configuration or a header. Open ``parameters`` first.

``tally`` counts by category, ``steps`` by step, ``tensors`` the tensors of a file; ``description`` is for ``models
show``.
"""
