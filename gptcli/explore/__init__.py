"""``gptcli explore``: a model on one screen, which follows every key.

``document`` is the text and its tokens, ``state`` what is chosen, ``reader`` reads the text with a kept cache and
``inside`` looks into the model; both run in threads of ``worker``. ``views`` draws from these, and ``app`` puts the
pictures on the terminal with Textual, which is imported nowhere else. Begin with ``screen``.
"""
