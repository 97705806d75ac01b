"""The engine in C for browsers: ``engine.wasm``, and ``build``, which makes it. ``pool.c`` stands for the threads."""
