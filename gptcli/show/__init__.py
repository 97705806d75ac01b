"""The output for people, without any maths. One file for each command, made of ``blocks``.

``terminal`` has the console, keys and Ctrl-C, ``html`` the saved pages. Open
``terminal.console`` first.
"""
