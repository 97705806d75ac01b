"""The building blocks of pictures: bars and token strips (``pictures``, to open first), heat maps, plots, frames."""
