"""Run a model and read its activations. The results are plain numbers; nothing here prints.

Open ``record`` first: one run with the activations at named points. ``attention``, ``lens``, ``attribution``, ``trace``
and ``contexts`` read it. ``places`` reads the names of places in a model.
"""
