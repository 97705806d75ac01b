"""From the logits of one step to one token: filters in a documented order, then the draw. numpy only.

Open ``filters`` first: its table ``FILTERS`` has everything that a filter is. ``settings`` derives ``Sampling`` from
it, ``draw`` draws a token, and ``shortlist`` finds the largest logits, which are all that most settings need.
"""
