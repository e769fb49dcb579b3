"""Frames that are kept for labelling: which ones, where they lie, and how they are sorted into classes."""
