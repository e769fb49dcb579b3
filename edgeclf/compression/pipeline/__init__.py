"""One compression from the request to the report."""
