"""Words as vectors, from word vectors or from a GPT's own embedding. Open ``queries`` first.

``expression`` reads ``king-man+woman``, ``load`` opens an embedding, ``vectors`` has the arithmetic.
"""
