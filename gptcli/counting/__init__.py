"""Parameters, counted by what they do and step by step, from a configuration or a header. Open ``parameters`` first.

``tally`` counts by category, ``steps`` by step, ``tensors`` what a file holds; ``description`` is the card of
``models show``.
"""
