"""Run the command line as ``python -m gptcli``."""

from gptcli.cli import main

if __name__ == "__main__":
    main()
