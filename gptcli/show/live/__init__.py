"""A model inside a page: it is packed here, and runs there, in the engine in C compiled to WebAssembly.

Open ``parts`` first: it has all that a page needs. ``engine.js`` is what runs.
"""

from gptcli.show.live.parts import LiveParts, live_parts

__all__ = ["LiveParts", "live_parts"]
