"""What can be done to a float network before it is exported: a file each."""
