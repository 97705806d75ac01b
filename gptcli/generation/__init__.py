"""From a prompt to a text: the filters and the draw, the loop, and everybody who writes with it."""
