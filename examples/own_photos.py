#!/usr/bin/env python3
"""From your own photos to a measured int8 model, with the Python API alone.

Needs the extra `train`: pip install ".[train]" in a clone of edgeclf.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import edgeclf


def main(photos: Path, run: Path, epochs: int | None = None) -> None:
    """Audit, train, compress, measure; print what a person decides by."""
    seen = edgeclf.audit(photos)
    print(
        f"{len(seen.classes)} classes; {len(seen.unreadable)} unreadable files, {len(seen.leaks)} leaks between splits"
    )

    trained = edgeclf.train(photos, out=run, resume=True, **({"epochs": epochs} if epochs else {}))
    made = edgeclf.compress(trained.run, int8=True, overwrite=True)
    split = "test" if "test" in seen.splits else "validation"
    report = edgeclf.bench(
        [model.path for model in made.models], data=photos, split=split, baseline=run / "model.keras"
    )
    for model in report.models:
        low, high = model.difference_interval
        print(
            f"{Path(model.path).name}: top-1 {model.top1:.1%} of the {split} photos, "
            f"{100 * model.difference:+.1f} points to float ({100 * low:+.1f} to {100 * high:+.1f}), "
            f"{model.size_bytes / 1000:.0f} kB, "
            f"{model.latency_ms.median:.2f} ms"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, metavar="PHOTOS", help="a folder of class folders")
    parser.add_argument("run", type=Path, metavar="RUN", help="the run folder; one that was interrupted is continued")
    parser.add_argument("epochs", type=int, nargs="?", metavar="EPOCHS", help="default: chosen by the data")
    given = parser.parse_args()
    main(given.photos, given.run, given.epochs)
