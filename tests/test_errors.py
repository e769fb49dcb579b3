"""The error tree: all in one file, drawn as it is, with the exit code of each branch."""

from __future__ import annotations

import re

import pytest

from edgeclf import errors
from edgeclf.errors import EdgeclfError, UnknownNameError, one_line


def tree(kind: type[EdgeclfError], depth: int = 0) -> dict[str, int]:
    """Every class below `kind` that this file defines, and how deep it stands."""
    found = {kind.__name__: depth}
    for inner in kind.__subclasses__():
        if inner.__module__ == errors.__name__:
            found |= tree(inner, depth + 1)
    return found


def test_the_drawing_is_the_tree() -> None:
    lines = re.findall(r"^    ([│├└─ ]*)(\w+Error) ", errors.__doc__ or "", re.MULTILINE)
    assert {name: len(branch) // 4 for branch, name in lines} == tree(EdgeclfError)


def test_an_unknown_name_carries_the_nearest_or_lists_all() -> None:
    near = UnknownNameError("network", "resnet9", ["resnet8", "cnn"])
    assert (str(near), near.nearest) == ("unknown network 'resnet9'; did you mean 'resnet8'?", "resnet8")
    far = UnknownNameError("network", "zzz", ["resnet8", "cnn"])
    assert (str(far), far.nearest) == ("unknown network 'zzz'; known: cnn, resnet8", None)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("two\nlines"), "two lines"),
        (ValueError(), "ValueError"),
        (FileNotFoundError(2, "No such file or directory", "a.jpg"), "a.jpg: no such file or directory"),
    ],
)
def test_one_line_of_any_error(error: Exception, line: str) -> None:
    assert one_line(error) == line
