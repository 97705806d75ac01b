"""The stops of ``gptcli tour``: from a text to its next token, one command at a time."""

import shlex

from gptcli.errors import InputError
from gptcli.show.tour import Stop

_STOPS = (
    (
        "Tokens",
        "A GPT never sees letters: text is cut into tokens, which are words or pieces of words, and each has a number. "
        "The · is a space, and it belongs to the token after it.",
        'gptcli tokenize "Refrigerators hum at midnight"',
        "Which of these words are one token, and which are cut? What is the · at the start of a token?",
        "Frequent words are one token, rare ones are cut into frequent pieces. The · is the space before the word.",
    ),
    (
        "Embeddings",
        "Each word becomes a long list of numbers, a point in a space of many dimensions. "
        "Words that are used alike end up near each other, as the neighbours of one of them show.",
        "gptcli neighbors tower --top 8",
        "Which word is nearest to tower? What do the words of the list have in common with it?",
        "They occur in the same kind of sentence: that is all the training of word vectors looks at.",
    ),
    (
        "Similarity",
        "The similarity of two words is the angle between their vectors: a cosine of 1 is the same direction, 0 a "
        "right angle. The dot product behind it is how all later stops compare vectors.",
        "gptcli similarity king queen apple",
        "Which two of the three words are most alike, and with what cosine? What would 0 mean?",
        "0 would be a right angle: two words that have nothing to do with each other.",
    ),
    (
        "Analogies",
        "Going from man to woman is a step in this space, and the same step leads from king to somewhere near queen. "
        "Nobody put it there: it came from predicting which words occur together.",
        "gptcli analogy king-man+woman --top 6",
        "Which word is nearest to king - man + woman? Which words were left out of the list, and why?",
        "The words of the question are left out. Else king itself would come first: the step is short.",
    ),
    (
        "A direction with a meaning",
        "The difference of cats and cat points to where there are more of something. "
        "Words measured along it fall into an order, in which plurals lie further out than their singulars.",
        "gptcli direction cats-cat cat cats puppy puppies one two three four",
        "In which order do one, two, three and four come? What does that say about the direction?",
        "They rise with the number: the direction from one cat to several measures how many.",
    ),
    (
        "A map of meanings",
        "Fifty dimensions do not fit on a screen; these are the two along which the words differ most. "
        "Look at the arrows: the same relation, and more or less the same direction, as the cosines below say.",
        'gptcli map "man->woman" "king->queen" "uncle->aunt"',
        "Which arrows point the same way? How much of the words' differences does the plane hold?",
        "A plane keeps only a part of fifty dimensions, so arrows that are parallel there look less so here.",
    ),
    (
        "Context changes the vector",
        "A GPT starts from one vector for each token, the same in every text, and its layers add what they find in the "
        "text before it. Here one word in two texts is followed through the layers: the more they drift apart, the "
        "more each has become its own.",
        'gptcli similarity --in-context "the month of [May]" "his dear aunt [May]"',
        "After which layer do the two vectors of May differ most? What made them differ?",
        "Attention did: each layer adds what it found in the words before, and those are not the same.",
    ),
    (
        "The next token",
        "From the last vector comes one score for each possible token, a logit, and softmax turns logits into "
        "probabilities. This list is the model's whole output; to write is to draw from it again and again.",
        'gptcli logits "The king and the" --top 8',
        "Which token is the most probable, and with what probability? How many tokens have one?",
        "Every token of the vocabulary has a probability above zero; together they make 1.",
    ),
    (
        "Temperature",
        "Dividing the logits by a temperature before softmax changes how bold the draw is: below 1 the favourites "
        "take more, above 1 the others come closer. The order of the candidates stays what it was.",
        'gptcli logits "The king and the" -t 0.5,1,2 --top 6',
        "What happens to the first row from the lowest temperature to the highest? What happens to the order?",
        "The favourite loses, the others gain, and the order stays: all logits are divided by the same number.",
    ),
    (
        "Top-k",
        "A high temperature also gives a chance to thousands of tokens that make no sense. "
        "Keeping only the k best of them lets the draw be bold among the good ones.",
        'gptcli logits "The king and the" -t 2 -k 5 --top 8',
        "How many tokens can be drawn now? What happens to the probability of those that are cut?",
        "Only k are left, and they share what the others had: their probabilities sum to 1 again.",
    ),
    (
        "Attention",
        "For each token, each head asks which of the tokens before it matter, and spreads its attention over them. "
        "A row is the token that looks, a column the one that is looked at, and the upper right is empty: nobody looks "
        "ahead.",
        'gptcli attention "The king took his crown and the queen took her" --layer 6',
        "Why is the upper right of each map empty? Find one strong link between two words.",
        "The model is to predict the next token, so none may look at a later one.",
    ),
    (
        "One head, with its weights",
        "A head is three small matrices that make a query, a key and a value of each token, and the query times the "
        "key is the score that softmax turns into attention. ⟨Weights⟩ were learnt and stay as they are; [data] comes "
        "from this text.",
        'gptcli trace "The king and the" --layer 6 --head 4',
        "Which three matrices does a head have? What does the softmax make of the scores?",
        "W_Q, W_K and W_V. The softmax makes positive numbers that sum to 1: the attention weights.",
    ),
    (
        "Where it makes up its mind",
        "Any layer can be asked what it would say if it were the last one. "
        "Read a column downwards: the first row mostly repeats the token, and further down the next one takes shape.",
        'gptcli lens "The king and the"',
        "After which layer is the last guess settled? What do the first rows say?",
        "The first rows are near the token itself; the layers after them turn it into a guess of the next one.",
    ),
    (
        "Take it out",
        "Looking shows what goes together, and only taking a part out shows what the prediction needs. "
        "Each cell is a head or an MLP without its output, and how far Ben then falls back towards Sara.",
        'gptcli ablate "Sara met Ben. Sara said hello to" --token Ben --versus Sara --top 6',
        "Which part does the prediction need most, and which head? What would a negative number mean?",
        "All layers build on the first MLP; of the heads, 4.3 and 10.1 bring the name. Without a part below zero the "
        "prediction would be surer.",
    ),
    (
        "Put it in",
        "A thought is a direction in the residual stream, and one can be added while the model runs. "
        "Here it is happy minus sad, twelve times after layer 7, in a text that would go on with sad.",
        'gptcli logits "Tom lost his ball. He felt" --steer "layer:7: happy - sad * 12" --top 6',
        "What comes next without --steer? What happens with 6 or -12 instead of 12?",
        "Without it sad is far ahead. A smaller number only brings happy closer, and a negative one makes sad surer.",
    ),
    (
        "Ask the neurons",
        "An MLP is a list of questions to the stream, and a neuron is one of them: its activation is the answer, and "
        "what it writes is added to the stream that much. Here are the most active ones at the last token.",
        'gptcli neurons "Tom lost his ball and he was" --at -1 --top 4',
        "Which neuron is the most active? What have the tokens that it raises in common?",
        "Many neurons raise words of one kind; others show no pattern, for most stand for several things at once.",
    ),
    (
        "Surprise",
        "Give the model a text, and it says how little it expected each token: bits, where one more is half as "
        "probable. Their average is what training makes small, and perplexity is the same number in another unit.",
        'gptcli score "The little girl went to the park with her refrigerator." --top 4',
        "Which token surprised the model most? What does a perplexity of 10 mean?",
        "On average it was as unsure as if 10 tokens had been equally likely.",
    ),
    (
        "Where 175 billion parameters live",
        "GPT-3 is this same machine with larger numbers, and its size is one multiplication a row. "
        "Two thirds are in the MLPs, and attention, for all its fame, has one.",
        "gptcli params gpt3",
        "Where are most of GPT-3's parameters: in attention, or in the MLPs?",
        "In the MLPs: two thirds of them.",
    ),
    (
        "It writes",
        "Read, score, draw, append, and read again: that is all there is to writing. "
        "The same seed draws the same text; leave it out for another one.",
        'gptcli generate "Once upon a time there was a" -n 60 --seed 3',
        "Run it twice with the same seed, then without one. What stays the same, and why?",
        "The model's probabilities are always the same; the seed decides which of the tokens is drawn.",
    ),
    (
        "And what it was choosing from",
        "Every token of a text was drawn from a list like the one you saw. "
        "Where the first candidate holds nearly everything the story had to go on that way, and where it does not the "
        "dice decided.",
        'gptcli generate "Once upon a time there was a" -n 12 --seed 3 --explain',
        "Find a token that was nearly certain, and one that might have been another.",
        "The ends of set phrases are nearly certain, as to after loved; whom the story is about is open.",
    ),
)
# What the chapters' own examples give, by the number of the stop.
_NOTES = {
    4: (
        "The chapter's hitler+italy-germany gives mussolini here too; its sushi-japan+germany gives gourmet, fries and "
        "sausages instead of bratwurst."
    ),
    7: (
        'The chapter\'s "a machine learning [model]" and "a fashion [model]" part from 0.94 to 0.73 here too; in '
        "SmolLM2-135M-Instruct (-m HuggingFaceTB/SmolLM2-135M-Instruct) from 1.00 to 0.75 by layer 7."
    ),
}
STOPS = [Stop(number, *stop, note=_NOTES.get(number, "")) for number, stop in enumerate(_STOPS, start=1)]


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


def our_words(line: str) -> list[str]:
    """The words of a line after ``gptcli``, split as a shell splits them; nothing in it is expanded or run.

    Raises:
        InputError: it is no command of gptcli, or asks for what only a shell has.
    """
    try:
        marks = [mark for mark in shlex.shlex(line, punctuation_chars="|<>&;") if mark.strip("|<>&;") == ""]
        words = shlex.split(line)
    except ValueError as error:
        raise InputError(f"cannot read this line: {str(error).lower()}") from error
    if marks:
        raise InputError(f"{marks[0]} is for a shell: here a line is one command of gptcli")
    if words[:1] == ["gptcli"]:
        words = words[1:]
    if not words:
        raise InputError('write a command of gptcli, such as: gptcli logits "The king"')
    if words[0] == "tour":
        raise InputError("you are on the tour: a number leads to a stop")
    return words
