"""The stops of ``gptcli tour``: from a text to its next token, one command at a time."""

from gptcli.errors import InputError
from gptcli.show.tour import Stop

_STOPS = (
    (
        "Tokens",
        "A GPT never sees letters: text is cut into tokens, which are words or pieces of words, and each has a number. "
        "The · is a space, and it belongs to the token after it.",
        'gptcli tokenize "Refrigerators hum at midnight"',
    ),
    (
        "Embeddings",
        "Each word becomes a long list of numbers, a point in a space of many dimensions. "
        "Words that are used alike end up near each other, as the neighbours of one of them show.",
        "gptcli neighbors tower --top 8",
    ),
    (
        "Similarity",
        "The similarity of two words is the angle between their vectors: a cosine of 1 is the same direction, 0 a "
        "right angle. The dot product behind it is how all later stops compare vectors.",
        "gptcli similarity king queen apple",
    ),
    (
        "Analogies",
        "Going from man to woman is a step in this space, and the same step leads from king to somewhere near queen. "
        "Nobody put it there: it came from predicting which words occur together.",
        "gptcli analogy king-man+woman --top 6",
    ),
    (
        "A direction with a meaning",
        "The difference of cats and cat points to where there are more of something. "
        "Words measured along it fall into an order, in which plurals lie further out than their singulars.",
        "gptcli direction cats-cat cat cats puppy puppies one two three four",
    ),
    (
        "A map of meanings",
        "Fifty dimensions do not fit on a screen; these are the two along which the words differ most. "
        "Look at the arrows: the same relation, and more or less the same direction, as the cosines below say.",
        'gptcli map "man->woman" "king->queen" "uncle->aunt"',
    ),
    (
        "Context changes the vector",
        "A GPT starts from one vector for each token, the same in every text, and its layers add what they find in the "
        "text before it. Here one word in two texts is followed through the layers: the more they drift apart, the "
        "more each has become its own.",
        'gptcli similarity --in-context "the month of [May]" "his dear aunt [May]"',
    ),
    (
        "The next token",
        "From the last vector comes one score for each possible token, a logit, and softmax turns logits into "
        "probabilities. This list is the model's whole output; to write is to draw from it again and again.",
        'gptcli logits "The king and the" --top 8',
    ),
    (
        "Temperature",
        "Dividing the logits by a temperature before softmax changes how bold the draw is: below 1 the favourites "
        "take more, above 1 the others come closer. The order of the candidates stays what it was.",
        'gptcli logits "The king and the" -t 0.5,1,2 --top 6',
    ),
    (
        "Top-k",
        "A high temperature also gives a chance to thousands of tokens that make no sense. "
        "Keeping only the k best of them lets the draw be bold among the good ones.",
        'gptcli logits "The king and the" -t 2 -k 5 --top 8',
    ),
    (
        "Attention",
        "For each token, each head asks which of the tokens before it matter, and spreads its attention over them. "
        "A row is the token that looks, a column the one that is looked at, and the upper right is empty: nobody looks "
        "ahead.",
        'gptcli attention "The king took his crown and the queen took her" --layer 4',
    ),
    (
        "One head, with its weights",
        "A head is three small matrices that make a query, a key and a value of each token, and the query times the "
        "key is the score that softmax turns into attention. ⟨Weights⟩ were learnt and stay as they are; [data] comes "
        "from this text.",
        'gptcli trace "The king and the" --layer 6 --head 4',
    ),
    (
        "Where it makes up its mind",
        "Any layer can be asked what it would say if it were the last one. "
        "Read a column downwards: the first row mostly repeats the token, and further down the next one takes shape.",
        'gptcli lens "Once upon a time there was a little"',
    ),
    (
        "Surprise",
        "Give the model a text, and it says how little it expected each token: bits, where one more is half as "
        "probable. Their average is what training makes small, and perplexity is the same number in another unit.",
        'gptcli score "The little girl went to the park to play with her refrigerator."',
    ),
    (
        "Where 175 billion parameters live",
        "GPT-3 is this same machine with larger numbers, and its size is one multiplication a row. "
        "Two thirds are in the MLPs, and attention, for all its fame, has one.",
        "gptcli params gpt3",
    ),
    (
        "It writes",
        "Read, score, draw, append, and read again: that is all there is to writing. "
        "The same seed draws the same text; leave it out for another one.",
        'gptcli generate "Once upon a time there was a" -n 60 --seed 7',
    ),
    (
        "And what it was choosing from",
        "Every token of a text was drawn from a list like the one you saw. "
        "Where the first candidate holds nearly everything the story had to go on that way, and where it does not the "
        "dice decided.",
        'gptcli generate "Once upon a time there was a" -n 12 --seed 7 --explain',
    ),
)
STOPS = [Stop(number, *stop) for number, stop in enumerate(_STOPS, start=1)]


def stops(number: int | None) -> list[Stop]:
    """All stops, or the one with this number.

    Raises:
        InputError: there is no such stop.
    """
    if number is None:
        return STOPS
    if not 1 <= number <= len(STOPS):
        raise InputError(f"--stop {number}: the stops are 1 to {len(STOPS)} (gptcli tour --list)")
    return [STOPS[number - 1]]
