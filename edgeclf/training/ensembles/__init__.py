"""Trains several networks that predict together, and fits how their predictions are combined."""
