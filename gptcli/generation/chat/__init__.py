"""A conversation with a model that only continues texts. Open ``conversation`` first; ``turns`` lays turns out."""
