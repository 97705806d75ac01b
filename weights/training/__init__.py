"""Train a small GPT-2 on two CPU cores: how ``weights/tales`` was made.

    python -m weights.training prepare corpus/*.txt --out data --held-out weights/tales/held_out.tsv
    python -m weights.training train data --run run --steps 1600 --sequence 256
    python -m weights.training train data --run last --start run/checkpoint.safetensors --sequence 512 --steps 400
    python -m weights.training export last data --out my-tales
    python -m weights.training evaluate my-tales data

A corpus is text files whose documents are separated by ``<|endoftext|>``. ``prepare`` encodes them with the part of
GPT-2's vocabulary that they use, which makes the unembedding, a third of the work, several times smaller; ``export``
puts the rows back among the 50,257. ``train`` may be stopped at any time: the same command goes on where it was.
"""

# Each command has a file of its name. train.py -> trainer.py (the loop) -> data.py (batches), optimizer.py (Muon);
# checkpoint.py reads what the loop wrote, vocabulary.py picks tokens, new_tokens.py gives rows to those without any.
