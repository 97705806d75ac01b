"""``generate --pick``: a text that a person and a model write together. Open ``draft`` first."""
