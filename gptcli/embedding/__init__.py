"""Words as vectors, from word vectors or from a GPT's own embedding. Open ``queries`` first.

``expression`` reads ``king-man+woman``, ``load`` opens what there is to search, ``vectors`` has the arithmetic.
"""
