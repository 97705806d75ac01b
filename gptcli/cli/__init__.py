"""The command line: options in, pictures out. Open ``app`` first: errors become exit codes there.

``commands`` has one thin file each; ``options`` and ``option_groups`` what they share, ``inputs`` what they read.
"""
