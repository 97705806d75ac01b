"""A conversation with a model. Open ``conversation`` first.

``layout`` chooses how turns become a prompt: by the model's own template (``template``), which a process of its own
renders (``renderer`` starts it, ``sandbox`` is what runs in it), with what is typed told from what the template writes
(``marks``); or as a script (``turns``, ``script``). ``thinking`` tells thinking from the answer, ``asking`` lays out
single questions.
"""
