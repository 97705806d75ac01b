"""The words of the tool's outputs, each in two to four sentences, with the command that shows it: data, no code."""

# Group -> term -> (other names, meaning, command, related terms).
TERMS: dict[str, dict[str, tuple[tuple[str, ...], str, str, tuple[str, ...]]]] = {
    "Text and tokens": {
        "token": (
            ("tokens", "tokenization"),
            "A piece of text that a model reads as one unit: a word, a part of a word, or a single byte. A model sees "
            "only its number, the id. A space belongs to the token after it, which is why outputs write ·king.",
            'gptcli tokenize "Refrigerators hum at midnight"',
            ("vocabulary", "byte-pair encoding", "context"),
        ),
        "vocabulary": (
            (),
            "All tokens that a model knows, each with its id. GPT-2's has 50,257. A model gives each of them a "
            "probability at every step.",
            "gptcli models show tales",
            ("token", "unembedding"),
        ),
        "byte-pair encoding": (
            ("bpe", "merges"),
            "How a text is cut into tokens: it starts as single bytes, and the pair that was most frequent when the "
            "vocabulary was made is joined first, then the next. Frequent words end up as one token, rare ones as "
            "several.",
            "gptcli tokenize --merges refrigerator",
            ("token", "vocabulary"),
        ),
        "prompt": (
            (),
            "The text that a model is given to continue. Everything it says depends on the prompt and on what it has "
            "written since, and on nothing else.",
            'gptcli generate "Once upon a time"',
            ("context", "chat template"),
        ),
        "context": (
            ("context window", "window"),
            "The tokens that a model can see at once, at most as many as it was built for. What is older has to be "
            "left out.",
            "gptcli models show tales",
            ("token", "position", "kv cache"),
        ),
        "position": (
            ("positions", "positional embedding", "rotary positions", "rope"),
            "Where a token stands in the text, counted from 1. Models are told it in different ways: GPT-2 adds a "
            "vector for each position to the token's, Llama rotates queries and keys by it (RoPE).",
            'gptcli trace "The king and the"',
            ("embedding", "query, key, value"),
        ),
        "chat template": (
            (),
            "The frame of special tokens that a chat model was trained with: who speaks, and where a turn ends. "
            "Without it such a model continues the text instead of answering.",
            "gptcli chat",
            ("prompt", "token"),
        ),
    },
    "Inside a model": {
        "embedding": (
            ("embeddings", "token embedding", "word vector", "vector"),
            "The list of numbers that stands for a token: a row of a matrix, and a point in a space of many "
            "dimensions. Tokens that are used alike have embeddings that are near each other.",
            "gptcli neighbors tower",
            ("cosine similarity", "residual stream", "unembedding"),
        ),
        "residual stream": (
            ("stream", "residual"),
            "The vector that each position carries through all layers. Every attention and every MLP reads it and adds "
            "something to it; nothing is ever replaced.",
            'gptcli trace "The king and the" --layer 1 --full',
            ("layer", "logit lens", "attribution"),
        ),
        "layer": (
            ("block", "layers"),
            "One round of attention and MLP. A model is a stack of equal layers with different weights: 12 in the "
            "small GPT-2, 96 in GPT-3.",
            "gptcli params gpt2",
            ("attention", "mlp", "residual stream"),
        ),
        "attention": (
            (),
            "The part of a layer in which positions look at each other: each gathers something from those before it. "
            "It is the only way in which a token learns about the rest of the text.",
            'gptcli attention "The king and the queen lived in a castle"',
            ("head", "attention weight", "query, key, value"),
        ),
        "head": (
            ("attention head", "heads"),
            "One of several attentions that work side by side in a layer, each with small matrices of its own. Some "
            "have a clear habit, such as to look at the token before; most do not.",
            'gptcli attention "The king and the queen" --layer 6 --head 1',
            ("attention", "induction head", "key head"),
        ),
        "query, key, value": (
            ("query", "key", "value", "qkv", "q", "k", "v"),
            "Three vectors that a head makes of each token. The query says what the token looks for, the key what it "
            "offers; where they match, the value is what is handed over.",
            'gptcli trace "The king and the" --layer 6 --head 4',
            ("attention score", "head"),
        ),
        "attention score": (
            ("scores", "score of attention"),
            "The dot product of a query and a key, divided by the square root of their length. The softmax turns the "
            "scores of a row into attention weights.",
            'gptcli attention "The king and the" --layer 6 --head 4 --scores',
            ("query, key, value", "softmax", "attention weight"),
        ),
        "attention weight": (
            ("weight", "attention weights", "attention pattern", "pattern"),
            "How much of its attention a token gives another one, between 0 and 1. The weights of a row add up to 1.",
            'gptcli attention "The king and the" --layer 6 --head 4',
            ("attention score", "softmax", "attention sink"),
        ),
        "causal mask": (
            ("mask",),
            "What keeps a token from looking at later ones: their scores are set to minus infinity, which the softmax "
            "turns into 0. So one text gives a lesson at each of its positions.",
            'gptcli attention "The king" --layer 1 --head 1 --scores',
            ("attention score", "softmax"),
        ),
        "attention sink": (
            ("sink",),
            "The first token, on which many heads put their attention when they find nothing to look for. The weights "
            "of a row have to add up to 1, so a head cannot simply look nowhere.",
            'gptcli attention "The king and the queen lived in a castle" --to The',
            ("attention weight", "head"),
        ),
        "striking link": (
            ("striking",),
            "The link of which distance and word explain least: from its weight is subtracted what the same head gives "
            "on average at that distance, or to that token. The first token, the token before and the token itself do "
            "not count, because most heads look there whatever the text says.",
            'gptcli attention "The king took his crown and the queen took her"',
            ("attention weight", "attention sink"),
        ),
        "induction head": (
            ("induction",),
            "A head that looks at the token which followed the same token the last time. It lets a model go on with a "
            "pattern that it has seen once, such as a name.",
            'gptcli attention "Lily saw Ben. Lily saw Ben." --layer 5',
            ("head", "in-context learning"),
        ),
        "in-context learning": (
            (),
            "To pick up a pattern from the prompt, without any change of the weights. Induction heads are the simplest "
            "mechanism known for it.",
            'gptcli score "A B C D A B C D A B C D"',
            ("induction head", "prompt"),
        ),
        "key head": (
            ("grouped-query attention", "gqa", "mqa"),
            "A set of keys and values that several query heads share (grouped-query attention). It makes the KV cache "
            "smaller; the heads still look for different things.",
            "gptcli params llama-3.1-8b",
            ("head", "kv cache"),
        ),
        "mlp": (
            ("feed-forward", "feedforward", "ffn"),
            "The part of a layer that works on each position alone: a wide layer of neurons and back. It holds about "
            "two thirds of the parameters, and much of what a model knows.",
            "gptcli params gpt3",
            ("neuron", "layer"),
        ),
        "neuron": (
            ("neurons", "activation"),
            "One number in the middle of an MLP. It grows where the stream points in its direction, and then adds its "
            "own vector to the stream.",
            'gptcli trace "The king and the" --layer 6 --full',
            ("mlp", "residual stream"),
        ),
        "layer norm": (
            ("layernorm", "norm", "final norm"),
            "What brings a vector to a standard size before a layer reads it: its mean is subtracted, it is divided by "
            "its spread, then scaled by learnt weights. Without it the numbers would grow from layer to layer.",
            'gptcli trace "The king and the" --layer 1 --full',
            ("rms norm", "residual stream"),
        ),
        "rms norm": (
            ("rmsnorm",),
            "A layer norm without the mean: the vector is only divided by its root mean square. Llama and most models "
            "since use it.",
            "gptcli trace --config llama-3.1-8b --layer 1",
            ("layer norm",),
        ),
        "unembedding": (
            ("output embedding", "tied"),
            "The last matrix: the dot product of the final vector with a row for each token gives that token's logit. "
            "In many models it is the embedding once more (tied).",
            'gptcli trace "The king and the"',
            ("logit", "embedding"),
        ),
        "parameter": (
            ("parameters", "weights", "size"),
            "A number that was learnt, part of the weights. They stay as they are whatever the text is.",
            "gptcli params gpt3",
            ("mlp", "checkpoint"),
        ),
        "mixture of experts": (
            ("experts", "moe", "router"),
            "A layer with several MLPs of which a router picks a few for each token. The model has many parameters and "
            "uses only some of them at a time.",
            "gptcli params gpt-oss-20b",
            ("mlp", "parameter"),
        ),
    },
    "Probabilities": {
        "logit": (
            ("logits",),
            "The score of a token before the softmax: any number, and larger is more likely. Only differences count: "
            "one more is e times, about 2.7 times, as probable.",
            'gptcli logits "The king and the"',
            ("softmax", "temperature", "unembedding"),
        ),
        "softmax": (
            (),
            "What turns any numbers into probabilities: e to the power of each, divided by the sum. The largest stays "
            "the largest, all are positive, and together they are 1.",
            'gptcli logits "The king and the"',
            ("logit", "temperature"),
        ),
        "probability": (
            ("chance", "odds", "raw"),
            "How often a token would be drawn, between 0 and 1, or 0 and 100 %. 1.4e-05 % is once in seven million. "
            "Where temperature or filters change it, the column raw has the model's own.",
            'gptcli logits "The king and the"',
            ("softmax", "surprisal", "log-probability"),
        ),
        "log-probability": (
            ("logprob",),
            "The natural logarithm of a probability: 0 for certain, negative for all else. Those of a text's tokens "
            "add up, where probabilities would multiply to nothing.",
            'gptcli score "The little girl went to the park." --json',
            ("surprisal", "probability"),
        ),
        "temperature": (
            ("t",),
            "The number by which logits are divided before the softmax. Below 1 the favourites take more, above 1 the "
            "others come closer, at 0 only the best is left. The order never changes.",
            'gptcli logits "The king and the" -t 0,1,5',
            ("softmax", "sampling", "greedy"),
        ),
        "sampling": (
            ("draw", "seed"),
            "To draw the next token by its probability, as with a loaded die. The seed decides how the die falls: the "
            "same seed writes the same text.",
            'gptcli generate "Once upon a time" --seed 7',
            ("temperature", "top-k", "top-p", "greedy"),
        ),
        "greedy": (
            ("argmax",),
            "To take the most probable token every time (temperature 0). It is always the same text, and often a dull "
            "one that repeats itself.",
            'gptcli generate "Once upon a time" -t 0',
            ("temperature", "sampling"),
        ),
        "top-k": (
            ("top k", "topk"),
            "A filter that keeps the k most probable tokens before drawing, and cuts the rest. In the tables a cut "
            "token has the name of its filter where its probability would be.",
            'gptcli logits "The king and the" -t 2 -k 5',
            ("top-p", "sampling"),
        ),
        "top-p": (
            ("top p", "nucleus", "nucleus sampling"),
            "A filter that keeps the most probable tokens until together they reach p. It keeps few where the model is "
            "sure, and many where it is not.",
            'gptcli logits "The king and the" -p 0.5',
            ("top-k", "sampling"),
        ),
        "surprisal": (
            ("bits", "bit", "cross-entropy", "loss"),
            "How unexpected a token was, in bits: one more is half as probable, so 10 bits are one chance in 1,024. "
            "Training makes its average small.",
            'gptcli score "The little girl went to the park."',
            ("perplexity", "entropy", "bits a byte"),
        ),
        "entropy": (
            (),
            "How open a choice is, in bits: the surprisal to be expected. 8 bits are as open as a choice among 256 "
            "equally likely tokens, 0 bits leave no choice.",
            'gptcli logits "The king and the"',
            ("surprisal", "perplexity"),
        ),
        "perplexity": (
            ("ppl",),
            "2 to the power of the average surprisal. A perplexity of 12 means that the model was on average as unsure "
            "as between 12 equally likely tokens.",
            'gptcli score "The little girl went to the park."',
            ("surprisal", "entropy", "bits a byte"),
        ),
        "bits a byte": (
            ("bits per byte", "bpb"),
            "The surprisal of a whole text divided by its bytes. Models with different tokenizers can be compared by "
            "it, where perplexity a token cannot.",
            'gptcli score "The little girl went to the park."',
            ("surprisal", "perplexity"),
        ),
        "rank": (
            (),
            "The place of a token in the list by probability; 1 is the most probable.",
            'gptcli logits "The king and the" --watch dragon',
            ("probability", "logit lens"),
        ),
    },
    "Looking inside": {
        "logit lens": (
            ("lens",),
            "What a layer would predict if it were the last: the stream after it goes through the final norm and the "
            "unembedding. Early rows often repeat the token, later ones turn into the prediction.",
            'gptcli lens "Once upon a time there was a little"',
            ("residual stream", "unembedding"),
        ),
        "attribution": (
            ("direct logit attribution",),
            "A logit taken apart into what each head, each MLP and the embedding added to it. It counts what they "
            "wrote into the stream themselves, not what later layers made of it.",
            'gptcli lens "The king and the" --attribution',
            ("residual stream", "logit"),
        ),
        "ablation": (
            ("ablate", "knock out"),
            "Taking a part out of a model and looking at what changes: its output becomes zero, its mean, or what it "
            "is in another text. Looking shows what goes together; only such a change shows what causes what.",
            'gptcli ablate "Sara met Ben. Sara said hello to" --token Ben --versus Sara',
            ("activation patching", "attribution", "head"),
        ),
        "activation patching": (
            ("patching", "causal tracing"),
            "Copying a piece of one run into another: a text is read with a word changed, and one activation of the "
            "unchanged run is put back. Where that brings the old prediction back, what was lost passes through.",
            'gptcli patch "Sara met Ben. Sara said hello to" "Sara met Ben. Ben said hello to"',
            ("ablation", "residual stream"),
        ),
        "steering": (
            ("steering vector", "activation addition"),
            "Adding a direction to the residual stream while a model runs, such as happy minus sad, so that what it "
            "writes turns that way. The larger the factor, the stronger, until the text falls apart; one text alone "
            "may show little.",
            'gptcli generate "The forest was" --steer "layer:7: happy - sad * 12"',
            ("residual stream", "analogy"),
        ),
        "cosine similarity": (
            ("cosine", "similarity", "angle"),
            "How far two vectors point in the same direction: 1 is the same, 0 a right angle, -1 the opposite. Their "
            "lengths do not count.",
            "gptcli similarity king queen apple",
            ("dot product", "embedding"),
        ),
        "dot product": (
            (),
            "Two vectors multiplied number by number and added up: large where they point the same way and are long. "
            "Queries meet keys, and vectors meet the unembedding, by dot products.",
            "gptcli direction cats-cat one two three four",
            ("cosine similarity", "query, key, value"),
        ),
        "analogy": (
            ("3cosadd", "3cosmul", "word arithmetic"),
            "Arithmetic with word vectors: the step from man to woman, taken from king, ends near queen. The words of "
            "the question are left out of the answer, because the nearest is mostly one of them.",
            "gptcli analogy king-man+woman",
            ("embedding", "cosine similarity"),
        ),
        "principal component": (
            ("pca", "pc1", "projection"),
            "The direction along which given points differ most; the second is the most that is left. A map shows the "
            "first two, and says how much of the differences they hold.",
            'gptcli map "man->woman" "king->queen"',
            ("embedding",),
        ),
    },
    "Files and speed": {
        "checkpoint": (
            ("model", "safetensors"),
            "A model as files: its weights (safetensors), its shape (config.json) and its tokenizer.",
            "gptcli models show tales",
            ("parameter", "quantization"),
        ),
        "kv cache": (
            ("cache", "key-value cache"),
            "Keys and values of the tokens read so far, kept so that a new token does not make all of them again. It "
            "grows with the text, and takes most of the memory besides the weights.",
            "gptcli params gpt2",
            ("query, key, value", "key head", "context"),
        ),
        "quantization": (
            ("quantize", "int8", "int4"),
            "Weights stored in fewer bits, as whole numbers and a scale. The model becomes smaller and faster, and a "
            "little less exact.",
            "gptcli models show tales --quantized",
            ("parameter", "checkpoint"),
        ),
    },
}
