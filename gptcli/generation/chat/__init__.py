"""A conversation with a model. Start reading with ``conversation``.

``layout`` chooses how turns become a prompt: with the model's chat template (``template``) or as a script (``turns``,
``script``). Templates are rendered in a separate process (``renderer`` starts it, ``sandbox`` is the program that runs
in it); ``marks`` separates the user's text from the template's. ``thinking`` separates thinking from the answer.
``asking`` builds the prompts of single questions.
"""
