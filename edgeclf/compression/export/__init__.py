"""From a float network to a model file."""
