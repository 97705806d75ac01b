"""A name on the command line -> words and their vectors: word vectors, or the embedding of a GPT."""
