"""The probabilities behind a token and behind a text. Open ``distribution`` first.

``next_token`` answers ``gptcli logits``, ``scoring`` answers ``score``, ``reading`` goes through a text position by
position, and ``choice`` has the candidates for a token.
"""
