"""Saved pages: self-contained HTML files. Open ``page`` first; it is made of ``parts``."""
