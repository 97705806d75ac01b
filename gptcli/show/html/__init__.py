"""Saved pages: one HTML file that needs nothing else. Open ``page`` first; ``parts`` are what it is made of."""
