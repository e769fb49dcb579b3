"""Finds out why a model is not faster, smaller or as accurate: `edgeclf inspect MODEL --doctor`.

`examination` measures, `findings` decide: each kind of finding is one file there, with a function that measures and one
that decides by the numbers, with its thresholds beside it. What was measured is said with the figure; what was not is
called a heuristic.
"""
