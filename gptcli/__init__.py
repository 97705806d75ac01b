"""gptcli: open a GPT in the terminal and watch it work."""

__version__ = "0.1.0"
