"""Pages for people. Host side: needs jinja2 and matplotlib."""
