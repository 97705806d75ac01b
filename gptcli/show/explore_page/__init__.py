"""The page of ``gptcli explore``: a text, and under one cursor all that the model computes at each of its tokens.

Begin with ``page.py``, and in JavaScript with ``explore.js``. The views draw a *reading*, which ``reading.js`` decodes
from the page's own data; a page that runs the model hands them another one for each text.
"""
