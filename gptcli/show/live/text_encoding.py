"""Bytes as text of a page: seven bits in most characters, so that ten megabytes take eleven and a half.

Fourteen codes cannot stand in a page, or would be obeyed by an editor or a terminal that shows it (line ends, the bell,
escape, ``<``). Such a code and the one after it become one character of two bytes in UTF-8, so nothing is lost:
U+00A0 + 128 * (index of the code) + (the next code). The idea is Kevin Albertson's base122. engine.js decodes it.
"""

UNHELD = (0, 5, 7, 8, 10, 13, 14, 15, 26, 27, 38, 60, 62, 127)
"""The codes that are not written as they are; engine.js has the same list."""
_FIRST_PAIR = 0xA0


def encode_bytes(data: bytes) -> str:
    """The text of some bytes. Decoded, they are followed by up to six of zeros."""
    import numpy as np

    sevens = np.frombuffer(data + bytes(-len(data) % 7), np.uint8).reshape(-1, 7)
    words = np.zeros(len(sevens), np.uint64)  # 56 bits: seven bytes, eight codes
    for column in sevens.T:
        words = words << np.uint64(8) | column
    shifts = np.arange(49, -1, -7, dtype=np.uint64)
    codes = (words[:, None] >> shifts & np.uint64(127)).astype(np.uint8).ravel()
    codes = np.append(codes, np.uint8(0))  # the last one may need one after it
    index_of = np.full(128, -1, np.int16)
    index_of[list(UNHELD)] = range(len(UNHELD))
    index = index_of[codes[:-1]]
    # In a run of codes that are not written, the first begins a pair, the third, and so on.
    places = np.arange(len(index), dtype=np.int32)
    run_start = np.maximum.accumulate(np.where(index < 0, places + np.int32(1), np.int32(0)))
    begins = (index >= 0) & ((places - run_start) % 2 == 0)
    pairs = _FIRST_PAIR + 128 * index + codes[1:]
    written = ~np.append(False, begins)[: len(index)]
    points = np.where(begins, pairs, codes[:-1])[written]
    return str(points.astype("<u2").tobytes(), "utf-16-le")
