"""The probabilities behind the next token, and behind a whole text."""
