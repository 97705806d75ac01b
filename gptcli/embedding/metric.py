"""The measures of likeness by name; here, so that the command line knows them without numpy."""

from enum import Enum


class Metric(str, Enum):
    """How alike two vectors are: the larger the more alike, but for the euclidean distance."""

    cosine = "cosine"
    dot = "dot"
    euclidean = "euclidean"


class Method(str, Enum):
    """How an analogy joins its words: by sum (3CosAdd) or by product (3CosMul)."""

    add = "add"
    mul = "mul"
