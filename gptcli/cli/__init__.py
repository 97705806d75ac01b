"""The command line. Open ``app`` first: it turns errors into exit codes.

``commands`` has one thin file for each; they share ``options``, ``option_groups`` and ``inputs``.
"""
