"""The live loop: settings, one run, the classification of each frame, its result, and the state that views read."""
