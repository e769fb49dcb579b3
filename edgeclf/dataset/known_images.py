"""The record of which images a run had in which split: `images.csv` of a run folder, by content.

A file of the same content is the same image, wherever it lies and whatever it is called.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.label_bounds import LONGEST_LABEL
from edgeclf.artifact.run_folder import RunFolder
from edgeclf.atomic import write_text
from edgeclf.dataset.contents import CONTENT_DIGITS, shorten
from edgeclf.dataset.splitting import OWN_FRACTIONS, position, validation_fractions
from edgeclf.dataset.types import SPLITS, Dataset
from edgeclf.errors import InputError

COLUMNS = ("split", "class", "content")
_CONTENT = re.compile(rf"[0-9a-f]{{{CONTENT_DIGITS}}}")
_LARGEST = 1 << 28


@dataclass(frozen=True)
class KnownImages:
    """Which images a run had.

    Attributes:
        contents: by split, then by class, the contents (see `shorten`).
    """

    contents: Mapping[str, Mapping[str, frozenset[str]]]

    def of_class(self, name: str) -> frozenset[str]:
        """Return the contents of a class in all splits."""
        return frozenset().union(*(classes.get(name, frozenset()) for classes in self.contents.values()))

    def of_split(self, split: str) -> frozenset[str]:
        """Return the contents of a split in all classes."""
        return frozenset().union(*self.contents.get(split, {}).values())


def collect_images(dataset: Dataset) -> KnownImages:
    """Return which images a data set has."""
    found: dict[str, dict[str, set[str]]] = {}
    for name, split in dataset.splits.items():
        classes: dict[str, set[str]] = {label: set() for label in dataset.class_names}
        for label, content in zip(split.labels.tolist(), split.hashes, strict=True):
            classes[dataset.class_names[label]].add(shorten(content))
        found[name] = classes
    return KnownImages(
        {name: {label: frozenset(one) for label, one in classes.items()} for name, classes in found.items()}
    )


def write_images(folder: RunFolder, dataset: Dataset) -> None:
    """Write which images a run has.

    Raises:
        OutputError: the folder cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for split, classes in collect_images(dataset).contents.items():
        writer.writerows((split, name, content) for name, found in classes.items() for content in sorted(found))
    write_text(folder.images_path, text.getvalue())


def read_images(folder: RunFolder) -> KnownImages | None:
    """Read which images a run had; None where it was trained before that was recorded.

    Raises:
        InputError: the file is too large, damaged, or not such a table.
    """
    path = folder.images_path
    if not path.exists():
        return None
    found: dict[str, dict[str, set[str]]] = {}
    for number, row in enumerate(_read_rows(path), 2):
        if not _is_row(row):
            raise InputError(
                f"{path}, line {number}: expected a split, a class and {CONTENT_DIGITS} hexadecimal digits, got "
                f"{','.join(row)!r:.60}; without this file, the rule of the split decides what the run trained on"
            )
        found.setdefault(row[0], {}).setdefault(row[1], set()).add(row[2])
    return KnownImages({split: {name: frozenset(one) for name, one in rows.items()} for split, rows in found.items()})


def choose_unseen(
    dataset: Dataset,
    split: str,
    known: KnownImages | None,
    own_splits: Sequence[str],
    used: Sequence[str] = ("train",),
) -> npt.NDArray[np.int64]:
    """Choose the images of a split that neither a run on `dataset` nor an earlier one used: int64[n], rows of it.

    Args:
        dataset: of the run.
        split: `validation` or `test`.
        known: which images the earlier run had; None: not recorded. Then its own split had all images in `train` whose
            content the rule puts there; where the source states a split, it is taken as it is.
        own_splits: those that the source states itself.
        used: the splits whose images were used: `train` was learnt from, `validation` chose an epoch.
    """
    seen = {shorten(content) for name in used if name in dataset.splits for content in dataset.splits[name].hashes}
    if known is not None:
        seen = seen.union(*(known.of_split(name) for name in used))
    contents = dataset.splits[split].hashes
    kept = [row for row, content in enumerate(contents) if shorten(content) not in seen]
    if known is None and split not in own_splits:
        size = len(dataset.splits["train"]) + len(dataset.splits["validation"])
        fractions = validation_fractions(size) if own_splits else OWN_FRACTIONS
        held_out = sum(fraction for name, fraction in fractions if name != "train")
        kept = [row for row in kept if position(contents[row], dataset.split_seed) < held_out]
    return np.array(kept, np.int64)


def _is_row(row: list[str]) -> bool:
    if len(row) != len(COLUMNS) or row[0] not in SPLITS or not 0 < len(row[1]) <= LONGEST_LABEL:
        return False
    return _CONTENT.fullmatch(row[2]) is not None


def _read_rows(path: Path) -> list[list[str]]:
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST:
            raise InputError(f"{path}: expected a table of at most {_LARGEST >> 20} MB")
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline=""), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as a table of images ({error})") from error
    if not rows or tuple(rows[0]) != COLUMNS:
        raise InputError(f"{path}: expected the columns {', '.join(COLUMNS)}")
    return rows[1:]
