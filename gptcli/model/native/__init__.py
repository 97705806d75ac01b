"""A second engine: GPT-2's step on the CPU in C, without torch. Absent where no compiler was at hand.

``library`` finds the compiled library, ``engine`` speaks to it, ``build`` compiles it when the package is installed.
The C lies in ``src/``: ``engine.c`` is where to begin.
"""

from gptcli.model.native.library import available

__all__ = ["available"]
