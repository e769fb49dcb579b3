"""Exporters: each makes a model file of a float network."""
