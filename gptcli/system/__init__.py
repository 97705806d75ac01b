"""The machine and its files: limits, threads, whole-file writes, untrusted JSON, folders, lines on stderr.

Knows nothing of models. Open ``json_text`` first: all JSON that comes from a file or a hub goes through it.
"""
