"""Searches for the settings of a training: which are tried, how each trial is trained, and what came of them."""
