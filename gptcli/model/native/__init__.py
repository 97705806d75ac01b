"""A second engine: GPTs on the CPU in C, without torch. It is missing where the package was built without a compiler.

``library`` loads the compiled library, ``engine`` calls it, ``build`` compiles it when the package is installed. The C
sources are in ``src/``; read ``engine.c`` first.
"""

from gptcli.model.native.library import available

__all__ = ["available"]
