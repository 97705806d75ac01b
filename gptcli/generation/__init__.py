"""From a prompt to a text. Open ``loop`` first: it chooses one token at a time and knows ids only.

``writing`` joins it with the tokenizer, ``streaming`` turns tokens into text as they come, and ``explaining`` records
the candidates for each. ``pick`` lets a person choose the tokens; ``chat`` is the conversation.
"""
