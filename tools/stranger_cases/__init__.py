"""Cases of `tools/strangers.py`: each module holds those of one subject."""
