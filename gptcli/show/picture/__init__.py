"""Saved pictures: what a console draws, as vectors. Open ``svg`` first; ``cells`` finds its shapes."""
