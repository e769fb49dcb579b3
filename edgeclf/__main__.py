"""`python -m edgeclf` is `edgeclf`."""

from __future__ import annotations

import sys

from edgeclf.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
