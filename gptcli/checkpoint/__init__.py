"""From a name to a model that is ready to run.

Open ``open`` first. A name is resolved (``source``, and ``hub`` for models there), its headers are read (``files``),
its configuration and key names are translated (``families``), and its weights go into an engine (``weights``).
``distributed`` opens one model in several processes, and ``catalogue`` lists what is there.
"""
