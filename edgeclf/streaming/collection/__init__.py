"""Collect frames for labelling: which ones, where they lie, and how they are sorted into classes."""
