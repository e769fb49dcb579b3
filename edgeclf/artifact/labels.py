"""Reads class names from a text file: one a line, or numbered lines as Coral and Teachable Machine write them."""

from __future__ import annotations

import codecs
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path

from edgeclf.artifact.label_bounds import LARGEST_LIST, LONGEST_LABEL, MOST_CLASSES
from edgeclf.errors import InputError
from edgeclf.printable import is_printable

LABEL_FILE = "labels.txt"

_NUMBERED = re.compile(r"([0-9]{1,6})(?:\s*[:,;]\s*|\s+)(\S.*)")
_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def read_labels(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Read class names in the order of a network's outputs.

    A line is a name. Where the lines are numbered from 0 on without a gap (`0 cat`, `0: cat`), the numbers are the
    order, and not part of the names. Surrounding blanks and empty lines at the end do not count.

    Args:
        path: a text file, UTF-8 or, with a byte order mark, UTF-16.

    Returns:
        the names; a name may occur twice.

    Raises:
        InputError: it cannot be read, or is no such list; the message names the file and the line.
    """
    return parse_labels(_read(Path(path)), os.fsdecode(path))


def parse_labels(content: bytes, name: str) -> tuple[str, ...]:
    """Read class names from the content of a file (see `read_labels`).

    Args:
        content: all bytes of it.
        name: of the file, for messages.
    """
    lines = [line.strip() for line in re.split(r"\r\n|\r|\n", _decode(content, name))]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise InputError(f"{name}: expected class names, one a line, got an empty file")
    if len(lines) > MOST_CLASSES:
        raise InputError(f"{name}: expected at most {MOST_CLASSES:,} class names, got {len(lines):,}")
    for number, line in enumerate(lines, 1):
        _check_line(line, f"{name}, line {number}")
    ordered = _numbered([line for line in lines if line])
    if ordered is not None:
        return ordered
    if "" in lines:
        raise InputError(f"{name}, line {lines.index('') + 1}: expected a class name, got an empty line")
    return tuple(lines)


def check_names(names: Sequence[str], count: int, source: str) -> tuple[str, ...]:
    """Refuse class names that a caller gave and that do not fit the outputs.

    Args:
        names: in the order of the outputs.
        count: number of classes that the network has.
        source: the file or argument that they come from.

    Raises:
        InputError: there are more or fewer, or one is no name.
    """
    checked = tuple(names)
    for number, name in enumerate(checked):
        if not isinstance(name, str) or not name.strip():
            raise InputError(f"{source}: expected class names, got {name!r} for class {number}")
    if len(checked) != count:
        shown = ", ".join(f"{name:.40}" for name in checked[:3])
        more = ", ..." if len(checked) > 3 else ""
        raise InputError(f"{source}: expected {count} class names, one a line, got {len(checked)} ({shown}{more})")
    return checked


def find_beside(model: Path) -> Path | None:
    """Find the list of labels that lies beside a model: `NAME_labels.txt`, else `labels.txt`; None: there is none."""
    paths = (model.parent / f"{model.stem}_{LABEL_FILE}", model.parent / LABEL_FILE)
    return next((path for path in paths if path.is_file()), None)


def names_beside(model: Path, count: int) -> tuple[tuple[str, ...] | None, str]:
    """Read the list of labels that lies beside a model, if it fits.

    Args:
        model: file or folder.
        count: number of classes that it has.

    Returns:
        the names, and a note that says that they were taken from there, or why they were not; None and an empty note
        where no list lies there.
    """
    path = find_beside(model)
    if path is None:
        return None, ""
    try:
        return check_names(read_labels(path), count, str(path)), f"class names are those of {path} beside the model"
    except InputError as error:
        return None, f"{error}; this list beside the model is left out"


def _read(path: Path) -> bytes:
    try:
        mode = path.stat()
        if not stat.S_ISREG(mode.st_mode):
            kind = "a folder" if stat.S_ISDIR(mode.st_mode) else "no regular file"
            raise InputError(f"{path}: expected a text file with class names, got {kind}")
        if mode.st_size > LARGEST_LIST:
            raise InputError(f"{path}: expected at most {LARGEST_LIST:,} bytes of class names, got {mode.st_size:,}")
        with path.open("rb") as stream:
            return stream.read(LARGEST_LIST)
    except InputError:
        raise
    except (OSError, ValueError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else getattr(error, "strerror", None) or error
        raise InputError(f"{path}: class names cannot be read ({str(reason).lower()})") from error


def _decode(content: bytes, name: str) -> str:
    encoding = next((encoding for mark, encoding in _BOMS.items() if content.startswith(mark)), "utf-8")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: expected class names as UTF-8 text, one a line; save it as UTF-8") from error


def _check_line(line: str, place: str) -> None:
    if len(line) > LONGEST_LABEL:
        raise InputError(f"{place}: expected a class name of at most {LONGEST_LABEL:,} characters, got {len(line):,}")
    odd = next((c for c in line if not (is_printable(c) or c == "\t")), None)
    if odd is not None:
        raise InputError(f"{place}: expected printable characters, got U+{ord(odd):04X}")


def _numbered(lines: Sequence[str]) -> tuple[str, ...] | None:
    """Return the names of lines that are numbered from 0 on without a gap, by number; None where they are not."""
    found: dict[int, str] = {}
    for line in lines:
        match = _NUMBERED.fullmatch(line)
        if match is None:
            return None
        found[int(match[1])] = match[2]
    if len(found) != len(lines) or set(found) != set(range(len(lines))):
        return None
    return tuple(found[number] for number in range(len(lines)))
