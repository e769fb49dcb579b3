"""Finds the cheapest recipe whose model holds a budget of accuracy, size and time."""
