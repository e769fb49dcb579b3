"""CSV manifests: `path,label[,split]`, one image a line."""

from __future__ import annotations

import csv
import io
import os
import re
from pathlib import Path

from edgeclf.dataset.folder_names import split_role
from edgeclf.dataset.manifest_paths import PathFinder
from edgeclf.dataset.sources import (
    Item,
    Listing,
    display,
    normalize_class_name,
    reason_to_pass_over,
)
from edgeclf.dataset.types import SPLITS, OddFile
from edgeclf.errors import DataError

_MOST_BYTES = 1 << 28
_STATED_DELIMITER = re.compile(r"sep=([,;\t])")
"""The first line of tables that Excel saves."""
_PATH_TITLES = ("path", "file", "filename", "image", "file_name", "filepath", "image_path", "image_id", "id")
_LABEL_TITLES = ("label", "class")
_SPLIT_TITLES = ("split", "subset", "set", "partition", "fold")
_NEARLY_ALL = 0.9
"""Fraction of the lines whose column states a split, from which on it is one of splits whatever it is called."""


def list_manifest(manifest: Path) -> Listing:
    """List the images of a CSV file with the columns `path,label[,split]`.

    The header may be left out where the columns stand in that order. Commas, semicolons and tabs separate; the text is
    UTF-8. Relative paths start at the manifest's folder. The split is `train`, `validation` (`val`, `valid`) or `test`,
    given on every line or on none. Backslashes separate folders where the file is only found so, and a missing suffix
    is completed where one file has such a name; the listing notes both. Each file that the table names is taken for an
    image, whatever its suffix.

    Raises:
        DataError: not readable as such a table; the message names the line.
    """
    where = display(str(manifest))
    rows = _rows(manifest)
    columns, first = _columns(where, rows)
    items: list[Item] = []
    odd: list[OddFile] = []
    seen: set[tuple[str, str, str | None]] = set()
    unsplit: list[int] = []
    paths = PathFinder(manifest.parent)
    for line, row in rows[first:]:
        if surplus := [cell for cell in row[len(rows[0][1]) :] if cell]:
            raise DataError(
                f"{where}, line {line}: has more cells than line {rows[0][0]}: {', '.join(surplus)!r}; put a path or a "
                "label that holds a comma between quotes"
            )
        if len(row) <= max(columns["path"], columns["label"]) or not row[columns["path"]]:
            raise DataError(f"{where}, line {line}: expected a path and a label, got {', '.join(row)!r}")
        path, label = row[columns["path"]], normalize_class_name(row[columns["label"]], f"{manifest}, line {line}")
        at = columns.get("split", len(row))
        split = _split(row[at], where, line) if at < len(row) else None
        if split is None:
            unsplit.append(line)
        if (path, label, split) in seen:
            odd.append(OddFile(path, f"listed again in line {line} of {where}; taken once"))
            continue
        seen.add((path, label, split))
        full, stamp = paths.find(path)
        items.append(Item(full, path, label, split, stamp))
    if unsplit and any(item.split for item in items):
        raise DataError(f"{where}, line {unsplit[0]}: has no split, but others have; give it on every line or on none")
    splits = tuple(s for s in SPLITS if any(item.split == s for item in items))
    if splits and "train" not in splits:
        raise DataError(f"{where}: no line has the split train")
    names = tuple(sorted({label for _, label, _ in seen}))
    return Listing(
        display(manifest.stem),
        where,
        str(manifest.resolve()),
        names,
        splits,
        items,
        tuple(odd),
        notes=paths.notes(where),
    )


def _rows(manifest: Path) -> list[tuple[int, list[str]]]:
    try:
        if manifest.stat().st_size > _MOST_BYTES:
            raise DataError(
                f"{display(str(manifest))}: has more than {_MOST_BYTES >> 20} MB, expected a table of paths"
            )
        text = manifest.read_text("utf-8-sig")
    except OSError as error:
        raise DataError(
            f"{display(str(manifest))}: cannot be read ({(error.strerror or str(error)).lower()})"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{display(str(manifest))}: is not UTF-8 text; save it as CSV in UTF-8") from error
    head = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",;\t", key=head.count)
    if stated := _STATED_DELIMITER.fullmatch(head.strip()):
        delimiter, text = stated[1], text.replace(head, "", 1)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows = []
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                rows.append((reader.line_num, cells))
    except csv.Error as error:
        raise DataError(f"{display(str(manifest))}, line {reader.line_num}: is not CSV ({error})") from error
    if not rows:
        raise DataError(f"{display(str(manifest))}: is empty; expected lines path,label[,split]")
    return rows


def _columns(where: str, rows: list[tuple[int, list[str]]]) -> tuple[dict[str, int], int]:
    """Column of each field, and the index of the first row that is an image."""
    titles = [cell.lower() for cell in rows[0][1]]
    path = next((titles.index(t) for t in _PATH_TITLES if t in titles), None)
    label = next((titles.index(t) for t in _LABEL_TITLES if t in titles), None)
    if path is not None and label is not None:
        columns = {"path": path, "label": label}
        split = next((title for title in _SPLIT_TITLES if _states_splits(title, titles, rows)), None)
        if split is not None:
            columns["split"] = titles.index(split)
        return columns, 1
    if len(titles) in (2, 3) and reason_to_pass_over(os.path.basename(titles[0])) is None:
        return dict(zip(("path", "label", "split"), range(len(titles)), strict=False)), 0
    raise DataError(f"{where}, line {rows[0][0]}: expected the header path,label[,split], got {','.join(rows[0][1])!r}")


def _states_splits(title: str, titles: list[str], rows: list[tuple[int, list[str]]]) -> bool:
    """Return whether a column states splits: by its title, or by one that is used for it and all that is in it."""
    if title not in titles:
        return False
    at = titles.index(title)
    stated = [split_role(row[at]) is not None for _, row in rows[1:] if at < len(row)]
    # where nearly all do, the others are refused by their lines: a photo of a test split must not be trained on
    return title == "split" or sum(stated) >= _NEARLY_ALL * len(stated)


def _split(text: str, where: str, line: int) -> str | None:
    if not text:
        return None
    role = split_role(text)
    if role is None:
        raise DataError(f"{where}, line {line}: split must be train, validation (val, valid) or test, got {text!r}")
    return role
