"""The kernels of the engine in C, one by one, against naive ones; and how its library is built and loaded."""
