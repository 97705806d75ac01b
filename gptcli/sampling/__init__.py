"""From the logits of one step to one token: filters in a documented order, then the draw. numpy only.

Open ``filters`` first: its table ``FILTERS`` has everything that a filter is. ``settings`` makes ``Sampling`` of it,
``draw`` takes a token, and ``shortlist`` finds the few largest logits, which is all that most settings need.
"""
