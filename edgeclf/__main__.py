"""`python -m edgeclf` is `edgeclf`."""

from __future__ import annotations

from edgeclf.cli.main import run_process

if __name__ == "__main__":
    run_process()
