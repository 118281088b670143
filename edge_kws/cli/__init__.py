"""The command line: `main.py` dispatches, every other module is one command."""
