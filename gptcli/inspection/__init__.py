"""Run a model and read what it computes on the way. Plain numbers come out; nothing here prints.

Open ``record`` first: one run, with what passed its named points. ``attention``, ``lens``, ``attribution``, ``trace``
and ``contexts`` each read it in their way.
"""
