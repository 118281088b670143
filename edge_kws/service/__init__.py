"""The daemon: microphones in, events out, never deaf without saying so. `engine.py` composes it."""
