"""Run a model and read its activations. The results are plain numbers; nothing here prints.

Open ``record`` first: one run with the activations at named points. ``attention``, ``lens``, ``attribution``, ``trace``
and ``contexts`` read it. ``place_text`` reads the names of ``places`` in a model.

``interventions`` says what is changed in a run, ``hooking`` does it by hooks on the named ``points``, and
``changed_engine`` generates with it; ``request`` and ``steering`` read what is asked for. ``ablation`` and ``patching``
compare many changed runs, which ``variants`` computes together.

``stream`` has the weights at both ends of the residual stream, in numpy; ``circuits``, ``by_weights`` and ``head_scan``
read heads with it, without a run. ``neurons`` and ``passages`` say when neurons are active, ``neuron_weights`` what
they write.
"""
