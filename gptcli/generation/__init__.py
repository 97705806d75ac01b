"""From a prompt to a text. Open ``loop`` first: it chooses one token at a time and knows ids only.

``writing`` joins it with the tokenizer, ``streaming`` turns tokens into text as they come, and ``explaining`` keeps
what each was chosen from. ``pick`` has the text that a person chooses with the model, ``chat`` the conversation.
"""
