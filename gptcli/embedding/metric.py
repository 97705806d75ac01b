"""The names of the similarity measures, for the command line, which does not import numpy."""

from enum import Enum


class Metric(str, Enum):
    """A measure of similarity. Larger is more similar, except for the euclidean distance."""

    cosine = "cosine"
    dot = "dot"
    euclidean = "euclidean"


class Method(str, Enum):
    """How an analogy combines its words: by sum (3CosAdd) or by product (3CosMul)."""

    add = "add"
    mul = "mul"
