"""What is fitted on the outputs of an exported model: temperature, threshold for unknown, and feature space."""
