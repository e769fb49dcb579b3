"""How Sphinx builds the guide: `sphinx-build -W --keep-going -n docs build/guide`."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "_extensions"), str(HERE.parent)]

import edgeclf  # noqa: E402  # found through the path above

project = "edgeclf"
author = "the edgeclf maintainers"
project_copyright = f"{author}, Apache-2.0"
version = release = edgeclf.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "edgeclf_reference"]
exclude_patterns = ["_extensions"]
source_suffix = {".md": "markdown"}
root_doc = "index"
default_role = "code"  # docstrings have single backticks around code
smartquotes = False  # of `--json` it would make a dash and json
nitpick_ignore_regex = [("py:.*", ".*")]  # types are shown as they are written; their modules have no page

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
maximum_signature_line_length = 100
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = "edgeclf"
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
