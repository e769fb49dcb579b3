"""The error tree: all in one file, drawn as it is, with the exit code of each branch."""

from __future__ import annotations

import dataclasses
import re

import pytest

from edgeclf import errors
from edgeclf.aliases import ALIASES
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
    assert str(near) == "unknown network 'resnet9'; did you mean 'resnet8'? (known: cnn, resnet8)"
    assert near.nearest == "resnet8"
    many = UnknownNameError("network", "resnet9", ["resnet8", *map(str, range(12))])
    assert str(many) == "unknown network 'resnet9'; did you mean 'resnet8'?"
    far = UnknownNameError("network", "zzz", ["resnet8", "cnn"])
    assert (str(far), far.nearest) == ("unknown network 'zzz'; known: cnn, resnet8", None)


def test_the_names_of_other_tools_are_known() -> None:
    for kind, name, known, meant in (
        ("setting", "lr", ["learning_rate", "label_smoothing"], "learning_rate"),
        ("setting", "weight-decay", ["weight_decay"], "weight_decay"),
        ("split", "val", ["train", "validation", "test"], "validation"),
        ("command", "export", ["train", "compress"], "compress"),
        ("runtime", "tflite", ["litert", "tensorflow", "tflite-runtime"], "litert"),
        ("augment", "off", ["none", "light"], "none"),
    ):
        assert UnknownNameError(kind, name, known).nearest == meant
    # An alias of something that is not there is none.
    assert UnknownNameError("setting", "lr", ["momentum"]).nearest is None


def test_every_alias_leads_to_a_name_that_edgeclf_has() -> None:
    from edgeclf.cli.main import COMMANDS
    from edgeclf.image.shape import FITS
    from edgeclf.measure.conditions import QUANTITIES
    from edgeclf.training.config import AUGMENT_LEVELS, BALANCE_MODES, OPTIMIZERS, TrainConfig

    options = {option.typed.lstrip("-") for c in COMMANDS.values() for t in c.tables for option in t.options}
    names = {
        "setting": {o.replace("-", "_") for o in options} | {f.name for f in dataclasses.fields(TrainConfig)},
        "command": set(COMMANDS),
        "split": {"train", "validation", "test"},
        "augment": set(AUGMENT_LEVELS),
        "balance": set(BALANCE_MODES),
        "optimizer": set(OPTIMIZERS),
        "fit": set(FITS),
        "runtime": {"litert", "tflite-runtime", "tensorflow"},
        "quantity": set(QUANTITIES),
    }
    names["option"] = names["setting"]
    for kind, table in ALIASES.items():
        assert {name for meanings in table.values() for name in meanings} <= names[kind]
        assert not {alias for alias, meanings in table.items() if alias in meanings}


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
