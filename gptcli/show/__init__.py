"""What people see; knows no maths. One file a command, made of ``blocks``.

``terminal`` is where an answer goes (the console, keys, Ctrl-C), ``html`` what saved pages are made of. Open
``terminal.console`` first.
"""
